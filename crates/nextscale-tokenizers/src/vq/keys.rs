//! Upstream's key names. The path of a parameter through the structs is its key, but for φ, whose place says how it is
//! shared.

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{DType, Device, Tensor, TensorData},
};

use super::{PhiKind, Vqvae};

/// The key for a parameter's path.
fn key(path: &[String], phi: PhiKind) -> String {
    let path = path.join(".");
    match path.strip_prefix("quantize.quant_resi.convs.") {
        None => path,
        Some(rest) => match phi {
            PhiKind::PerScale => format!("quantize.quant_resi.{rest}"),
            PhiKind::Nearest(_) => format!("quantize.quant_resi.qresi_ls.{rest}"),
            PhiKind::One | PhiKind::Identity => {
                let name = rest.split_once('.').map_or(rest, |(_, name)| name);
                format!("quantize.quant_resi.qresi.{name}")
            }
        },
    }
}

/// Every key with its shape; no value is made.
pub(super) fn shapes(vqvae: &Vqvae, phi: PhiKind) -> Vec<(String, Vec<usize>)> {
    let mut lister = Lister { path: Vec::new(), phi, found: Vec::new(), data: false };
    vqvae.visit(&mut lister);
    lister.found.into_iter().map(|(key, shape, _)| (key, shape)).collect()
}

/// Every key with its values.
pub(super) fn values(vqvae: &Vqvae, phi: PhiKind) -> Vec<(String, TensorData)> {
    let mut lister = Lister { path: Vec::new(), phi, found: Vec::new(), data: true };
    vqvae.visit(&mut lister);
    lister.found.into_iter().filter_map(|(key, _, data)| Some((key, data?))).collect()
}

struct Lister {
    path: Vec<String>,
    phi: PhiKind,
    found: Vec<(String, Vec<usize>, Option<TensorData>)>,
    data: bool,
}

impl ModuleVisitor for Lister {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let data = self.data.then(|| param.val().into_data());
        self.found.push((key(&self.path, self.phi), param.lazy_shape().as_slice().to_vec(), data));
    }
}

/// Gives every parameter the values that `supply` has for its key and shape, one after the other, on `device`.
///
/// # Errors
/// The first that `supply` gives.
pub(super) fn fill<E>(
    vqvae: Vqvae,
    phi: PhiKind,
    device: &Device,
    supply: impl FnMut(&str, &[usize]) -> Result<Vec<f32>, E>,
) -> Result<Vqvae, E> {
    let mut filler = Filler { path: Vec::new(), phi, device, supply, failed: None };
    let vqvae = vqvae.map(&mut filler);
    match filler.failed {
        Some(error) => Err(error),
        None => Ok(vqvae),
    }
}

struct Filler<'a, F, E> {
    path: Vec<String>,
    phi: PhiKind,
    device: &'a Device,
    supply: F,
    failed: Option<E>,
}

impl<F: FnMut(&str, &[usize]) -> Result<Vec<f32>, E>, E> ModuleMapper for Filler<'_, F, E> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.failed.is_some() {
            return param;
        }
        let shape = param.lazy_shape();
        match (self.supply)(&key(&self.path, self.phi), shape.as_slice()) {
            Ok(values) => {
                let data = TensorData::new(values, shape);
                let id = param.id;
                param.transform_for_load(Tensor::from_data(data, (self.device, DType::F32)), id)
            }
            Err(error) => {
                self.failed = Some(error);
                param
            }
        }
    }
}
