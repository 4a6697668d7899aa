/// How closely products are those of f32 numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// As exact as a plain sum in f32.
    Whole,
    /// Of numbers rounded to bfloat16, summed in f32: on a processor's matrix unit alone.
    Rounded,
}
