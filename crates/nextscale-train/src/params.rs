//! A module's parameters by name, flat and outside of autodiff.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Gradients, Tensor};

/// A parameter during a traversal.
#[derive(Debug)]
pub struct Parameter {
    /// The path of field names, joined with dots, without enum variants.
    pub name: String,
    /// burn's id, within this process.
    pub id: ParamId,
    /// The number of axes.
    pub axes: usize,
    /// Their lengths.
    pub shape: Vec<usize>,
    /// The values, row-major, outside of autodiff.
    pub values: Tensor<1>,
}

/// All float parameters in the module's order.
pub fn parameters<M: Module>(module: &M) -> Vec<Parameter> {
    let mut visitor = Visitor { path: Path::default(), each: Gather::Values(Vec::new()) };
    module.visit(&mut visitor);
    match visitor.each {
        Gather::Values(values) => values,
        Gather::Gradients(..) => Vec::new(),
    }
}

/// Removes the gradients of all parameters that have one from `gradients`.
pub fn take_gradients<M: Module>(module: &M, gradients: Gradients) -> BTreeMap<String, Tensor<1>> {
    let mut visitor =
        Visitor { path: Path::default(), each: Gather::Gradients(Box::new(gradients), BTreeMap::new()) };
    module.visit(&mut visitor);
    match visitor.each {
        Gather::Gradients(_, gradients) => gradients,
        Gather::Values(_) => BTreeMap::new(),
    }
}

/// The module with its parameters replaced by those that `change` returns; `None` leaves one unchanged.
/// Whether a parameter is trained does not change.
pub fn replace<M: Module>(module: M, change: impl FnMut(Parameter) -> Option<Tensor<1>>) -> M {
    module.map(&mut Mapper { path: Path::default(), change })
}

/// The current form of a name that may contain variants, as in earlier checkpoints: fields begin with a
/// lower-case letter, variants with a capital.
pub fn without_variants(name: &str) -> String {
    let fields: Vec<&str> = name.split('.').filter(|part| !part.starts_with(char::is_uppercase)).collect();
    fields.join(".")
}

/// The position of a traversal.
#[derive(Default)]
struct Path(Vec<String>);

impl Path {
    fn enter(&mut self, name: &str, container: &str) {
        if !is_enum(container) {
            self.0.push(name.to_owned());
        }
    }

    fn exit(&mut self, container: &str) {
        if !is_enum(container) {
            self.0.pop();
        }
    }

    fn name(&self) -> String {
        self.0.join(".")
    }
}

/// Whether what is entered in this container, by burn's name for it, is a variant and not a field.
fn is_enum(container: &str) -> bool {
    container.starts_with("Enum:")
}

enum Gather {
    Values(Vec<Parameter>),
    Gradients(Box<Gradients>, BTreeMap<String, Tensor<1>>),
}

struct Visitor {
    path: Path,
    each: Gather,
}

impl ModuleVisitor for Visitor {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.path.exit(container);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let name = self.path.name();
        match &mut self.each {
            Gather::Values(values) => {
                values.push(Parameter {
                    name,
                    id: param.id,
                    axes: D,
                    shape: param.dims().to_vec(),
                    values: param.val().inner().reshape([-1]),
                });
            }
            Gather::Gradients(gradients, found) => {
                if let Some(gradient) = param.val().grad_remove(gradients) {
                    found.insert(name, gradient.reshape([-1]));
                }
            }
        }
    }
}

struct Mapper<F> {
    path: Path,
    change: F,
}

impl<F: FnMut(Parameter) -> Option<Tensor<1>>> ModuleMapper for Mapper<F> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.path.exit(container);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let (shape, autodiff, trained) = (tensor.shape(), tensor.is_autodiff(), tensor.is_require_grad());
        let values = tensor.clone().inner().reshape([-1]);
        let changed = (self.change)(Parameter {
            name: self.path.name(),
            id,
            axes: D,
            shape: tensor.dims().to_vec(),
            values,
        });
        let tensor = match changed {
            None => tensor,
            Some(values) => {
                let values: Tensor<D> = values.reshape(shape);
                if autodiff { values.autodiff().set_require_grad(trained) } else { values }
            }
        };
        Param::from_mapped_value(id, tensor, mapper)
    }
}

#[cfg(test)]
mod tests {
    use burn::module::Module;
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::Device;

    use super::*;

    #[derive(Module, Debug)]
    struct Pair {
        layers: Vec<Linear>,
    }

    fn pair() -> Pair {
        let device = Device::flex().autodiff();
        Pair { layers: vec![LinearConfig::new(2, 3).init(&device), LinearConfig::new(3, 1).init(&device)] }
    }

    #[test]
    fn names_are_paths_and_replacing_keeps_shape_and_training() {
        let module = pair();
        let names: Vec<String> = parameters(&module).into_iter().map(|p| p.name).collect();
        assert_eq!(names, ["layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias"]);
        let module = replace(module, |p| (p.name == "layers.0.weight").then(|| p.values.zeros_like() + 2.0));
        let weight = module.layers[0].weight.val();
        assert_eq!(weight.dims(), [2, 3]);
        assert!(weight.is_require_grad());
        assert_eq!(weight.into_data().try_to_vec::<f32>().unwrap(), vec![2.0; 6]);
    }

    #[test]
    fn gradients_come_flat_for_the_parameters_that_have_one() {
        let module = pair();
        let input = Tensor::<2>::ones([4, 2], &Device::flex().autodiff());
        let loss = module.layers[0].forward(input).sum();
        let gradients = take_gradients(&module, loss.backward());
        assert_eq!(gradients.keys().collect::<Vec<_>>(), ["layers.0.bias", "layers.0.weight"]);
        assert_eq!(gradients["layers.0.weight"].to_data().try_to_vec::<f32>().unwrap(), vec![4.0; 6]);
    }
}
