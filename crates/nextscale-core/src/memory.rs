//! The available memory, so that sizes read from files and configs can be refused before anything
//! is allocated.

use std::sync::OnceLock;

use crate::{Error, Result};

/// The most memory that this process can have, in bytes: the machine's, or the limit of a container or of the
/// shell (`ulimit -v`) if that is lower. If the system does not say, the size of the address space.
pub fn total() -> u64 {
    static TOTAL: OnceLock<u64> = OnceLock::new();
    *TOTAL.get_or_init(|| {
        let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| of_machine(&text));
        let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
        let limit = |path: &&str| std::fs::read_to_string(path).ok()?.trim().parse().ok();
        let limit = limits.iter().filter_map(limit).filter(|&limit: &u64| limit > 0).min();
        let addresses =
            std::fs::read_to_string("/proc/self/limits").ok().and_then(|text| of_addresses(&text));
        machine.into_iter().chain(limit).chain(addresses).min().unwrap_or(1 << 47)
    })
}

/// The memory and swap of `/proc/meminfo`, in bytes.
fn of_machine(text: &str) -> Option<u64> {
    let kilobytes = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.trim().parse().ok()
    };
    Some((kilobytes("MemTotal:")? + kilobytes("SwapTotal:").unwrap_or(0)) * 1024)
}

/// The soft limit of `/proc/self/limits` on a process's addresses, in bytes; `None` where there is none.
fn of_addresses(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The bytes of an f32 tensor of these sizes.
pub fn of_f32(sizes: &[usize]) -> u128 {
    sizes.iter().fold(4, |bytes, &size| bytes.saturating_mul(size as u128))
}

/// Refuses a setting that cannot fit in memory: `bytes` is a lower bound on what `what` takes.
///
/// # Errors
/// [`Error::Setting`] with the field, the memory needed and the memory available.
pub fn check(field: &str, what: &str, bytes: u128) -> Result<()> {
    check_against(field, what, bytes, total())
}

fn check_against(field: &str, what: &str, bytes: u128, total: u64) -> Result<()> {
    if bytes <= u128::from(total) {
        return Ok(());
    }
    Err(Error::setting(
        field,
        format!(
            "{what} would take at least {} of memory, and there is {}",
            gigabytes(bytes),
            gigabytes(total.into())
        ),
    ))
}

fn gigabytes(bytes: u128) -> String {
    let gigabytes = bytes as f64 / 1e9;
    if gigabytes < 1e6 { format!("{gigabytes:.1} GB") } else { format!("{gigabytes:.1e} GB") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_told_with_its_field_and_both_numbers() {
        check_against("batch", "a batch of 2", 1 << 30, 1 << 30).unwrap();
        let error = check_against("batch", "a batch of 9", 5_000_000_000, 1 << 30).unwrap_err().to_string();
        assert!(
            error.contains("batch") && error.contains("a batch of 9 would take at least 5.0 GB of memory"),
            "{error}"
        );
        assert!(error.ends_with("and there is 1.1 GB"), "{error}");
        assert!(check("x", "y", u128::MAX).is_err());
    }

    #[test]
    fn memory_is_read_as_the_system_writes_it() {
        let text = "MemTotal:       16000000 kB\nMemFree:  1 kB\nSwapTotal:       1000 kB\n";
        assert_eq!(of_machine(text), Some(16_001_000 * 1024));
        assert_eq!(of_machine("MemTotal: much"), None);
        assert!(total() > 1 << 26);
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max resident set          unlimited            unlimited            bytes     \n\
                      Max address space         6144000000           unlimited            bytes     \n";
        assert_eq!(of_addresses(limits), Some(6_144_000_000));
        assert_eq!(of_addresses(&limits.replace("6144000000", "unlimited")), None);
    }
}
