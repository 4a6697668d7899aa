//! A module's parameters under their names in a file, which a function derives from their paths.

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{DType, Device, Tensor, TensorData},
};
use nextscale_core::is_cpu;
use nextscale_kernels::in_type;

/// Every name with its shape, without creating values.
pub(crate) fn shapes<M: Module>(module: &M, name: impl Fn(&str) -> String) -> Vec<(String, Vec<usize>)> {
    list(module, name, false).into_iter().map(|(name, shape, _)| (name, shape)).collect()
}

/// Every name with its values.
pub(crate) fn values<M: Module>(module: &M, name: impl Fn(&str) -> String) -> Vec<(String, TensorData)> {
    list(module, name, true).into_iter().filter_map(|(name, _, data)| Some((name, data?))).collect()
}

type Listed = (String, Vec<usize>, Option<TensorData>);

fn list<M: Module>(module: &M, name: impl Fn(&str) -> String, data: bool) -> Vec<Listed> {
    let mut lister = Lister { path: Vec::new(), name, found: Vec::new(), data };
    module.visit(&mut lister);
    lister.found
}

struct Lister<N> {
    path: Vec<String>,
    name: N,
    found: Vec<Listed>,
    data: bool,
}

impl<N: Fn(&str) -> String> ModuleVisitor for Lister<N> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let data = self.data.then(|| param.val().into_data());
        let name = (self.name)(&self.path.join("."));
        self.found.push((name, param.lazy_shape().as_slice().to_vec(), data));
    }
}

/// Sets every parameter to the values that `supply` returns for its name and shape, one after the other, on
/// `device`.
///
/// # Errors
/// The first error of `supply`.
pub(crate) fn fill<M: Module, E>(
    module: M,
    name: impl Fn(&str) -> String,
    device: &Device,
    supply: impl FnMut(&str, &[usize]) -> Result<Vec<f32>, E>,
) -> Result<M, E> {
    let mut filler = Filler { path: Vec::new(), name, device, supply, failed: None };
    let module = module.map(&mut filler);
    match filler.failed {
        Some(error) => Err(error),
        None => Ok(module),
    }
}

/// The module with the weights of its convolutions laid out for generation: on devices other than the CPU the channels of an input
/// lie next to each other, as convolutions read them there; otherwise each would copy its weight every time.
pub(crate) fn laid_out<M: Module>(module: M) -> M {
    module.map(&mut ChannelsLast)
}

/// The module with the weights and biases of its convolutions in another type of floats; its norms stay f32.
pub(crate) fn stored_in<M: Module>(module: M, dtype: DType) -> M {
    module.map(&mut Stored { path: Vec::new(), dtype })
}

struct Stored {
    path: Vec<String>,
    dtype: DType,
}

impl ModuleMapper for Stored {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        // The last name is the parameter's, the one before its module's.
        match self.path.iter().nth_back(1) {
            Some(module) if module.starts_with("norm") => param,
            _ => param.map(|values| in_type(values, self.dtype)),
        }
    }
}

struct ChannelsLast;

impl ModuleMapper for ChannelsLast {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if D != 4 || is_cpu(&param.lazy_device()) {
            return param;
        }
        param.map(|weight| {
            let weight = weight.permute(std::array::from_fn(|axis| [0, 2, 3, 1][axis]));
            let shape = weight.dims();
            // A row of numbers has one order only: here they are copied.
            let weight = weight.reshape([shape.iter().product::<usize>()]).reshape(shape);
            weight.permute(std::array::from_fn(|axis| [0, 3, 1, 2][axis]))
        })
    }
}

struct Filler<'a, N, F, E> {
    path: Vec<String>,
    name: N,
    device: &'a Device,
    supply: F,
    failed: Option<E>,
}

impl<N, F, E> ModuleMapper for Filler<'_, N, F, E>
where
    N: Fn(&str) -> String,
    F: FnMut(&str, &[usize]) -> Result<Vec<f32>, E>,
{
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
        match (self.supply)(&(self.name)(&self.path.join(".")), shape.as_slice()) {
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
