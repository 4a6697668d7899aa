//! What tests on devices run: small inputs, and command lines in the test's own process.

use std::fs;
use std::path::Path;

use nextscale::pipeline::Registry;

/// A picture of the tiny model's size.
pub fn write_given(path: &Path) {
    let picture =
        image::RgbImage::from_fn(64, 64, |x, y| image::Rgb([x as u8 * 4, y as u8 * 3, (x * y / 16) as u8]));
    picture.save(path).unwrap();
}

fn fixtures(file: &str) -> String {
    format!("{}/tests/fixtures/var/{file}", env!("CARGO_MANIFEST_DIR"))
}

/// The tests' tiny model, as a config names it.
pub fn tiny_model() -> String {
    let (tokenizer, backbone) = (fixtures("vae.safetensors"), fixtures("var_aln.safetensors"));
    format!("Var(tokenizer: {tokenizer:?}, backbone: {backbone:?}, norm_groups: 4)")
}

/// Fashion-MNIST's files, of images whose brightness is their class.
pub fn fashion_mnist(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for (name, images) in [("train", 40_u32), ("t10k", 10)] {
        let write = |kind: &str, sizes: &[u32], bytes: Vec<u8>| {
            let mut file = vec![0, 0, 8, sizes.len() as u8];
            file.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
            file.extend(bytes);
            fs::write(folder.join(format!("{name}-{kind}-idx{}-ubyte", sizes.len())), file).unwrap();
        };
        let classes: Vec<u8> = (0..images).map(|i| (i % 10) as u8).collect();
        let pixels = classes.iter().flat_map(|class| (0..784).map(move |i| class * 20 + (i % 28) as u8));
        write("images", &[images, 28, 28], pixels.collect());
        write("labels", &[images], classes);
    }
}

/// Runs a command line in this process.
pub fn command(arguments: &[&str]) {
    let program = nextscale::cli::Program::new(Registry::standard());
    let code = program.run(["nextscale"].iter().chain(arguments));
    assert_eq!(format!("{code:?}"), format!("{:?}", std::process::ExitCode::SUCCESS), "{arguments:?}");
}
