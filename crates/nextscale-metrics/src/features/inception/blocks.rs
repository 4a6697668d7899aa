//! The mixed blocks, named by the side of their grid. Average pools ignore padding.

use nextscale_kernels::nhwc::{Activation, Padding, Pool, PoolKind, Window};

use crate::{
    Result,
    features::{engine::Engine, layer::Spec},
};

fn window(size: [usize; 2], stride: usize, padding: [usize; 2]) -> Window {
    Window { size, stride, padding: Padding::Symmetric(padding) }
}

/// The maximum of 3×3 pixels. With stride 1 the map keeps its size; with stride 2 there is no padding.
pub fn max_pool(stride: usize) -> Pool {
    let padding = if stride == 1 { [1, 1] } else { [0, 0] };
    Pool { window: window([3, 3], stride, padding), kind: PoolKind::Max }
}

/// The mean of 3×3 pixels.
pub fn average_pool() -> Pool {
    Pool { window: window([3, 3], 1, [1, 1]), kind: PoolKind::Average }
}

/// Creates convolutions by torchvision's names: `NAME.conv` and `NAME.bn`.
pub struct Maker<'a, C> {
    conv: &'a mut dyn FnMut(Spec) -> Result<C>,
}

impl<'a, C> Maker<'a, C> {
    pub fn new(conv: &'a mut dyn FnMut(Spec) -> Result<C>) -> Self {
        Self { conv }
    }

    fn make(&mut self, name: &str, channels: [usize; 2], window: Window) -> Result<C> {
        (self.conv)(Spec {
            conv: format!("{name}.conv"),
            norm: format!("{name}.bn"),
            channels,
            depthwise: false,
            window,
            activation: Activation::Relu,
        })
    }

    /// A convolution with stride 1.
    pub fn conv(
        &mut self,
        name: &str,
        channels: [usize; 2],
        size: [usize; 2],
        padding: [usize; 2],
    ) -> Result<C> {
        self.make(name, channels, window(size, 1, padding))
    }

    /// A 3×3 convolution with stride 2 and no padding.
    pub fn strided(&mut self, name: &str, inputs: usize, outputs: usize) -> Result<C> {
        self.make(name, [inputs, outputs], window([3, 3], 2, [0, 0]))
    }

    /// A convolution that keeps the map's size.
    fn same(&mut self, name: String, inputs: usize, outputs: usize, size: [usize; 2]) -> Result<C> {
        self.conv(&name, [inputs, outputs], size, [size[0] / 2, size[1] / 2])
    }
}

/// One convolution after another.
fn chain<'a, E: Engine>(engine: &E, convs: impl IntoIterator<Item = &'a E::Conv>, x: &E::Map) -> E::Map
where
    E::Conv: 'a,
{
    convs.into_iter().fold(x.clone(), |x, conv| engine.conv(conv, &x))
}

/// On 35×35: 1×1, 5×5, double 3×3 and a pool.
pub struct Grid35<C> {
    one: C,
    five: [C; 2],
    double: [C; 3],
    pool: C,
}

impl<C> Grid35<C> {
    pub fn new(make: &mut Maker<'_, C>, name: &str, inputs: usize, pooled: usize) -> Result<Self> {
        Ok(Self {
            one: make.same(format!("{name}.branch1x1"), inputs, 64, [1, 1])?,
            five: [
                make.same(format!("{name}.branch5x5_1"), inputs, 48, [1, 1])?,
                make.same(format!("{name}.branch5x5_2"), 48, 64, [5, 5])?,
            ],
            double: [
                make.same(format!("{name}.branch3x3dbl_1"), inputs, 64, [1, 1])?,
                make.same(format!("{name}.branch3x3dbl_2"), 64, 96, [3, 3])?,
                make.same(format!("{name}.branch3x3dbl_3"), 96, 96, [3, 3])?,
            ],
            pool: make.same(format!("{name}.branch_pool"), inputs, pooled, [1, 1])?,
        })
    }

    pub fn forward<E: Engine<Conv = C>>(&self, engine: &E, x: &E::Map) -> E::Map {
        let one = engine.conv(&self.one, x);
        let five = chain(engine, &self.five, x);
        let double = chain(engine, &self.double, x);
        let pool = engine.conv(&self.pool, &engine.pool(average_pool(), x));
        engine.concat(vec![one, five, double, pool])
    }
}

/// From 35×35 to 17×17.
pub struct Reduce17<C> {
    three: C,
    double: [C; 3],
}

impl<C> Reduce17<C> {
    pub fn new(make: &mut Maker<'_, C>, name: &str, inputs: usize) -> Result<Self> {
        Ok(Self {
            three: make.strided(&format!("{name}.branch3x3"), inputs, 384)?,
            double: [
                make.same(format!("{name}.branch3x3dbl_1"), inputs, 64, [1, 1])?,
                make.same(format!("{name}.branch3x3dbl_2"), 64, 96, [3, 3])?,
                make.strided(&format!("{name}.branch3x3dbl_3"), 96, 96)?,
            ],
        })
    }

    pub fn forward<E: Engine<Conv = C>>(&self, engine: &E, x: &E::Map) -> E::Map {
        let three = engine.conv(&self.three, x);
        let double = chain(engine, &self.double, x);
        engine.concat(vec![three, double, engine.pool(max_pool(2), x)])
    }
}

/// On 17×17: 1×1, 7×7 and double 7×7 in factors, and a pool.
pub struct Grid17<C> {
    one: C,
    seven: [C; 3],
    double: [C; 5],
    pool: C,
}

impl<C> Grid17<C> {
    pub fn new(make: &mut Maker<'_, C>, name: &str, inner: usize) -> Result<Self> {
        let inputs = 768;
        let (across, down) = ([1, 7], [7, 1]);
        Ok(Self {
            one: make.same(format!("{name}.branch1x1"), inputs, 192, [1, 1])?,
            seven: [
                make.same(format!("{name}.branch7x7_1"), inputs, inner, [1, 1])?,
                make.same(format!("{name}.branch7x7_2"), inner, inner, across)?,
                make.same(format!("{name}.branch7x7_3"), inner, 192, down)?,
            ],
            double: [
                make.same(format!("{name}.branch7x7dbl_1"), inputs, inner, [1, 1])?,
                make.same(format!("{name}.branch7x7dbl_2"), inner, inner, down)?,
                make.same(format!("{name}.branch7x7dbl_3"), inner, inner, across)?,
                make.same(format!("{name}.branch7x7dbl_4"), inner, inner, down)?,
                make.same(format!("{name}.branch7x7dbl_5"), inner, 192, across)?,
            ],
            pool: make.same(format!("{name}.branch_pool"), inputs, 192, [1, 1])?,
        })
    }

    pub fn forward<E: Engine<Conv = C>>(&self, engine: &E, x: &E::Map) -> E::Map {
        let one = engine.conv(&self.one, x);
        let seven = chain(engine, &self.seven, x);
        let double = chain(engine, &self.double, x);
        let pool = engine.conv(&self.pool, &engine.pool(average_pool(), x));
        engine.concat(vec![one, seven, double, pool])
    }
}

/// From 17×17 to 8×8.
pub struct Reduce8<C> {
    three: [C; 2],
    seven: [C; 4],
}

impl<C> Reduce8<C> {
    pub fn new(make: &mut Maker<'_, C>, name: &str, inputs: usize) -> Result<Self> {
        Ok(Self {
            three: [
                make.same(format!("{name}.branch3x3_1"), inputs, 192, [1, 1])?,
                make.strided(&format!("{name}.branch3x3_2"), 192, 320)?,
            ],
            seven: [
                make.same(format!("{name}.branch7x7x3_1"), inputs, 192, [1, 1])?,
                make.same(format!("{name}.branch7x7x3_2"), 192, 192, [1, 7])?,
                make.same(format!("{name}.branch7x7x3_3"), 192, 192, [7, 1])?,
                make.strided(&format!("{name}.branch7x7x3_4"), 192, 192)?,
            ],
        })
    }

    pub fn forward<E: Engine<Conv = C>>(&self, engine: &E, x: &E::Map) -> E::Map {
        let three = chain(engine, &self.three, x);
        let seven = chain(engine, &self.seven, x);
        engine.concat(vec![three, seven, engine.pool(max_pool(2), x)])
    }
}

/// On 8×8: 1×1, 3×3 and double 3×3 that end in a row and a column side by side, and a pool.
pub struct Grid8<C> {
    one: C,
    three: C,
    three_ends: [C; 2],
    double: [C; 2],
    double_ends: [C; 2],
    pool: C,
}

impl<C> Grid8<C> {
    pub fn new(make: &mut Maker<'_, C>, name: &str, inputs: usize) -> Result<Self> {
        let (across, down) = ([1, 3], [3, 1]);
        Ok(Self {
            one: make.same(format!("{name}.branch1x1"), inputs, 320, [1, 1])?,
            three: make.same(format!("{name}.branch3x3_1"), inputs, 384, [1, 1])?,
            three_ends: [
                make.same(format!("{name}.branch3x3_2a"), 384, 384, across)?,
                make.same(format!("{name}.branch3x3_2b"), 384, 384, down)?,
            ],
            double: [
                make.same(format!("{name}.branch3x3dbl_1"), inputs, 448, [1, 1])?,
                make.same(format!("{name}.branch3x3dbl_2"), 448, 384, [3, 3])?,
            ],
            double_ends: [
                make.same(format!("{name}.branch3x3dbl_3a"), 384, 384, across)?,
                make.same(format!("{name}.branch3x3dbl_3b"), 384, 384, down)?,
            ],
            pool: make.same(format!("{name}.branch_pool"), inputs, 192, [1, 1])?,
        })
    }

    pub fn forward<E: Engine<Conv = C>>(&self, engine: &E, x: &E::Map, pool: Pool) -> E::Map {
        let one = engine.conv(&self.one, x);
        let three = engine.conv(&self.three, x);
        let [a, b] = self.three_ends.each_ref().map(|end| engine.conv(end, &three));
        let double = chain(engine, &self.double, x);
        let [c, d] = self.double_ends.each_ref().map(|end| engine.conv(end, &double));
        let pool = engine.conv(&self.pool, &engine.pool(pool, x));
        engine.concat(vec![one, a, b, c, d, pool])
    }
}
