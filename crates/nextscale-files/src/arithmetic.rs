//! Words for images that another processor made, by the names of devices: `cpu, avx512`, `cpu, fma, bf16`, `cuda`.

/// The environment variable that chooses the CPU's arithmetic.
const VARIABLE: &str = "NEXTSCALE_ROUTE";

/// The arithmetic and the type of a CPU's name.
fn of_cpu(device: &str) -> Option<(&str, Option<&str>)> {
    let (name, rest) = device.split_once(", ")?;
    let (route, dtype) = rest.split_once(", ").map_or((rest, None), |(route, dtype)| (route, Some(dtype)));
    (name == "cpu").then_some((route, dtype))
}

/// Why what was made on device `there` is not continued on device `here`, in words after its name, with what makes
/// both the same: another environment variable, if the two are CPUs of different arithmetic. `None` if they are the
/// same.
pub fn other_device(there: &str, here: &str) -> Option<String> {
    let why = format!("was made on {there}, and this process computes on {here}");
    if there == here {
        return None;
    }
    Some(match other_arithmetic(there, here) {
        Some(remedy) => format!("{why}; set {remedy} if this processor has it"),
        None => why,
    })
}

/// What makes a process on CPU `here` compute as CPU `there` does, if the two differ in their arithmetic and nothing
/// else: `NEXTSCALE_ROUTE=avx512`.
pub fn other_arithmetic(there: &str, here: &str) -> Option<String> {
    let ((route, dtype), (own, own_dtype)) = (of_cpu(there)?, of_cpu(here)?);
    // What is named after two sets of instructions is what one processor does with both, and no route.
    let differs = dtype == own_dtype && route != own && !route.contains('-');
    differs.then(|| format!("{VARIABLE}={route}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remedy_is_the_route_of_what_is_there() {
        assert_eq!(other_device("cpu, avx2", "cpu, avx2"), None);
        let told = other_device("cpu, avx512, bf16", "cpu, amx, bf16").unwrap();
        assert_eq!(
            told,
            "was made on cpu, avx512, bf16, and this process computes on cpu, amx, bf16; set NEXTSCALE_ROUTE=avx512 if \
             this processor has it"
        );
        for (there, here) in [
            ("cpu, avx2", "cpu, avx2, bf16"),
            ("cpu, avx512", "cuda"),
            ("cuda", "cpu, avx512"),
            ("cpu", "cpu, avx512"),
            ("cpu, avx512-bf16, bf16", "cpu, avx512, bf16"),
        ] {
            assert_eq!(other_arithmetic(there, here), None);
            let told = other_device(there, here).unwrap();
            assert!(
                told.ends_with(&format!("made on {there}, and this process computes on {here}")),
                "{told}"
            );
        }
        assert_eq!(other_arithmetic("cpu, fma", "cpu, avx2").as_deref(), Some("NEXTSCALE_ROUTE=fma"));
    }
}
