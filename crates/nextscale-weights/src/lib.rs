//! Checkpoints by their own key names: `.pth` and `.safetensors`, read without running a pickle.
//!
//! A [`WeightFile`] is opened by its header alone; tensors are read one by one into f32 on a device. Models check every
//! name and shape before they read a value, so nothing loads in part.
