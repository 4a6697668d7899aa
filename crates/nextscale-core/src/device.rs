use burn::tensor::Device;

/// Whether `device` is the CPU, with or without autodiff: its tensors lie in host memory and the CPU kernels
/// accept them.
pub fn is_cpu(device: &Device) -> bool {
    // burn compares hardware and ignores autodiff.
    *device == Device::flex()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_the_cpu_with_autodiff_too() {
        let device = Device::flex();
        assert!(is_cpu(&device) && is_cpu(&device.autodiff()));
    }
}
