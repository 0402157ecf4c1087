//! What a tree of processes costs, read from /proc and the clocks of the processes.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

/// A clock tick of /proc/PID/stat, on every Linux that runs today.
const TICK: Duration = Duration::from_millis(10);

/// What the processes of a tree use at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Processor time of all of them, and of their children that have ended.
    pub cpu: Duration,
    /// Proportional set size in KiB: shared pages are shared out.
    pub pss: u64,
    /// Resident set size in KiB.
    pub rss: u64,
    /// The sum of the highest resident set sizes so far, in KiB.
    pub peak: u64,
    /// How many processes there are.
    pub processes: u64,
}

/// Reads what the tree under a process uses now. What ends in the meantime is left out.
#[must_use]
pub fn usage(root: u32) -> Usage {
    let mut usage = Usage::default();
    for pid in members(root) {
        usage.processes += 1;
        usage.cpu += cpu(pid);
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        usage.pss += kib(&rollup, "Pss:");
        usage.rss += kib(&status, "VmRSS:");
        usage.peak += kib(&status, "VmHWM:");
    }
    usage
}

/// Processor time of the tree under a process so far.
#[must_use]
pub fn cpu_time(root: u32) -> Duration {
    members(root).into_iter().map(cpu).sum()
}

/// The machine's load average over the last minute.
#[must_use]
pub fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or_default()
}

/// The process and all its descendants.
fn members(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if let Some(parent) = fields(pid).get(1).and_then(|field| field.parse().ok()) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut left = vec![root];
    while let Some(pid) = left.pop() {
        found.push(pid);
        left.extend(children.remove(&pid).unwrap_or_default());
    }
    found
}

/// The fields of /proc/PID/stat after the name, which may hold spaces: state, parent, group, ...
fn fields(pid: u32) -> Vec<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let rest = stat.rsplit_once(") ").map(|(_, rest)| rest).unwrap_or_default();
    rest.split(' ').map(str::to_owned).collect()
}

/// Processor time of one process, to the nanosecond by its clock, and of its ended children, in ticks.
fn cpu(pid: u32) -> Duration {
    let own = clock_getcpuclockid(Pid::from_raw(pid.cast_signed())).and_then(clock_gettime);
    let own = own.map(Duration::from).unwrap_or_default();
    let fields = fields(pid);
    // cutime and cstime are the 16th and 17th of proc(5), which counts the pid and the name.
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u32>().ok()).unwrap_or(0);
    own + TICK * (ticks(13) + ticks(14))
}

/// The number after a name in a table of /proc.
fn kib(table: &str, name: &str) -> u64 {
    let line = table.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_used_time() {
        let usage = usage(std::process::id());
        assert!(usage.rss > 0 && usage.peak >= usage.rss && usage.processes >= 1);
        assert!(usage.cpu > Duration::ZERO);
    }
}
