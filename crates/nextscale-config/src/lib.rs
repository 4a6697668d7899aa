//! A RON document as a tree with spans: overrides, decoding with precise errors, hashes.
