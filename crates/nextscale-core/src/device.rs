use std::cell::Cell;

use burn::tensor::Device;

thread_local! {
    static FOREIGN: Cell<bool> = const { Cell::new(false) };
}

/// Whether a device is the CPU with this program's own kernels, with or without autodiff.
pub fn is_cpu(device: &Device) -> bool {
    // burn compares hardware and ignores autodiff.
    !FOREIGN.get() && *device == Device::flex()
}

/// For tests: the result of a function during which [`is_cpu`] says no of the CPU, on this thread. What this program
/// does on other devices, in half precision too, is then composed of burn's operations on the CPU.
pub fn as_on_other_devices<T>(run: impl FnOnce() -> T) -> T {
    /// Says what it was, after a panic too.
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            FOREIGN.set(self.0);
        }
    }
    let _before = Before(FOREIGN.replace(true));
    run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_the_cpu_with_autodiff_too() {
        let device = Device::flex();
        assert!(is_cpu(&device) && is_cpu(&device.autodiff()));
    }

    #[test]
    fn it_is_another_device_for_as_long_as_it_is_said_to_be() {
        let device = Device::flex();
        assert!(as_on_other_devices(|| !is_cpu(&device)));
        assert!(std::panic::catch_unwind(|| as_on_other_devices(|| panic!("on purpose"))).is_err());
        assert!(is_cpu(&device));
    }
}
