//! RON config to images: the loop, sampling, randomness, traces, run folders.
