"""Which scenarios of the suite the bridge has to pass, and which it is not asked, and why.

Every scenario that either release of the suite lists is in one of these tables; a test holds that.
"""

from __future__ import annotations

from dataclasses import dataclass

STABLE, NEXT = "0.1.16", "0.2.0-alpha.12"
"""The releases of the suite: the stable one, and the newest that knows the revision of 2026."""

JUNE_2025, NOVEMBER_2025, JULY_2026 = "2025-06-18", "2025-11-25", "2026-07-28"
"""Revisions of the protocol."""

EXTENSION = "extension"
"""What stands for the revision of a scenario that belongs to none."""


@dataclass(frozen=True, order=True)
class Scenario:
    """One scenario at one revision, as one release of the suite has it."""

    side: str
    """`client` if the suite plays the server, `server` if it plays the client."""

    revision: str
    name: str
    release: str

    @property
    def identity(self) -> str:
        """What its test is called."""
        return f"{self.name}@{self.revision}"


def words(text: str) -> list[str]:
    """The names in a text."""
    return text.split()


def scenarios(side: str, revision: str, release: str, names: str) -> list[Scenario]:
    """Scenarios by their names."""
    return [Scenario(side, revision, name, release) for name in words(names)]


CLIENT = [
    *scenarios("client", JUNE_2025, STABLE, "initialize tools_call"),
    *scenarios(
        "client",
        NOVEMBER_2025,
        STABLE,
        "initialize tools_call elicitation-sep1034-client-defaults sse-retry",
    ),
    *scenarios("client", NOVEMBER_2025, NEXT, "json-schema-2020-12-preservation"),
    *scenarios(
        "client",
        JULY_2026,
        NEXT,
        """
        tools_call request-metadata http-standard-headers http-custom-headers http-invalid-tool-headers
        sep-2322-client-request-state json-schema-ref-no-deref json-schema-2020-12-preservation
        """,
    ),
    *scenarios(
        "client",
        EXTENSION,
        NEXT,
        """
        sep-2640-client-no-prefetch sep-2640-client-verify-digest sep-2640-client-verify-size
        sep-2640-client-verify-frontmatter
        """,
    ),
]
"""An official SDK's client, which has the bridge as its server, meets a server of the suite's."""

SERVER = [
    *scenarios(
        "server",
        NOVEMBER_2025,
        STABLE,
        """
        server-initialize logging-set-level ping completion-complete tools-list tools-call-simple-text
        tools-call-image tools-call-audio tools-call-embedded-resource tools-call-mixed-content
        tools-call-with-logging tools-call-error tools-call-with-progress tools-call-sampling
        tools-call-elicitation elicitation-sep1034-defaults server-sse-multiple-streams
        elicitation-sep1330-enums resources-list resources-read-text resources-read-binary
        resources-templates-read resources-subscribe resources-unsubscribe prompts-list prompts-get-simple
        prompts-get-with-args prompts-get-embedded-resource prompts-get-with-image dns-rebinding-protection
        """,
    ),
    *scenarios("server", NOVEMBER_2025, NEXT, "server-session-lifecycle json-schema-2020-12"),
    *scenarios(
        "server",
        JULY_2026,
        NEXT,
        """
        server-stateless completion-complete tools-list tools-call-simple-text tools-call-image
        tools-call-audio tools-call-embedded-resource tools-call-mixed-content tools-call-error
        tools-call-with-progress server-sse-multiple-streams resources-list resources-read-text
        resources-read-binary resources-templates-read sep-2164-resource-not-found prompts-list
        prompts-get-simple prompts-get-with-args prompts-get-embedded-resource prompts-get-with-image
        dns-rebinding-protection caching input-required-result-basic-elicitation
        input-required-result-basic-sampling input-required-result-basic-list-roots
        input-required-result-request-state input-required-result-multiple-input-requests
        input-required-result-multi-round input-required-result-missing-input-response
        input-required-result-non-tool-request input-required-result-result-type
        input-required-result-unsupported-methods input-required-result-tampered-state
        input-required-result-capability-check input-required-result-ignore-extra-params
        input-required-result-validate-input json-schema-2020-12
        """,
    ),
]
"""A client of the suite's meets, through a front and the bridge, a server of an official SDK."""

NOT_YET = words("""
    auth/metadata-default auth/metadata-var1 auth/metadata-var2 auth/metadata-var3 auth/basic-cimd
    auth/scope-from-www-authenticate auth/scope-from-scopes-supported auth/scope-omitted-when-undefined
    auth/scope-step-up auth/scope-retry-limit auth/token-endpoint-auth-basic auth/token-endpoint-auth-post
    auth/token-endpoint-auth-none auth/pre-registration auth/2025-03-26-oauth-metadata-backcompat
    auth/2025-03-26-oauth-endpoint-fallback auth/resource-mismatch auth/offline-access-scope
    auth/offline-access-not-supported auth/authorization-server-migration auth/iss-supported
    auth/iss-not-advertised auth/iss-supported-missing auth/iss-wrong-issuer auth/iss-unexpected
    auth/iss-normalized auth/metadata-issuer-mismatch auth/client-credentials-jwt
    auth/client-credentials-basic auth/cross-app-access-complete-flow auth/enterprise-managed-authorization
    auth/dpop auth/dpop-nonce auth/wif-jwt-bearer
""")
"""The OAuth flows: the bridge does not log in by itself yet; it is given a token."""

NOT_ASKED = {
    "the server behind the bridge does not have this extension": words("""
        tasks-lifecycle tasks-capability-negotiation tasks-wire-fields tasks-request-state-removal
        tasks-mrtr-input tasks-request-headers tasks-dispatch-and-envelope tasks-status-notifications
        tasks-required-task-error tasks-mrtr-composition sep-2640-skills-directory
        sep-2640-skills-enumeration sep-2640-skills-manifest
    """),
    "it asks how an HTTP server takes headers and streams, which end at the front": words("""
        http-header-validation http-custom-header-server-validation server-sse-polling
    """),
    "it tests an authorization server": words("""
        authorization-server-metadata-endpoint authorization-code-grant
    """),
}
"""Scenarios that say nothing about a bridge, by the reason."""
