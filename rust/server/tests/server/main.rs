//! The server over real connections: its transport rule by rule, and its tools.

// The attributes tell the lints that helpers, too, may fail a test by a panic.
#[cfg(test)]
mod bin;
#[cfg(test)]
mod harbour;
#[cfg(test)]
mod tools;
#[cfg(test)]
mod transport;
