/// The precision of products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// As exact as a plain sum in f32.
    Whole,
    /// Of numbers rounded to bfloat16, summed in f32. Only on processors that multiply such numbers.
    Rounded,
}
