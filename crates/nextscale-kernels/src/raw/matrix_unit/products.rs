//! Products of tiles.
//!
//! On the unit, packed products use three of the eight tile registers: one sum, and a tile of each operand.
//! Convolutions, whose rows are apart and slow to read, use more, so that what is read serves two or three
//! sums.

use std::{arch::asm, marker::PhantomData};

use super::{
    Line, MatrixUnit, Means, SIDE, STEP, Tile,
    by_vectors::{Columns, Rows, sum_over_steps},
    lines_of_step,
};
use crate::precision::Precision;

/// Where the steps of a product find their columns: step i reads sixteen rows of sixteen pairs of numbers,
/// `stride` pairs apart, starting at the pair `offsets[i]`.
pub struct Places {
    offsets: Vec<usize>,
    stride: usize,
    /// Pairs that must be there.
    reach: usize,
}

impl Places {
    pub fn new(offsets: Vec<usize>, stride: usize) -> Self {
        let reach = offsets.iter().max().map_or(0, |&offset| offset + (SIDE - 1) * stride + SIDE);
        Places { offsets, stride, reach }
    }
}

/// Sixteen rows of rounded numbers, `stride` numbers apart, read at neighbouring places.
#[derive(Clone, Copy)]
pub struct Shifted<'a> {
    pub numbers: &'a [u16],
    pub stride: usize,
}

/// The unit, set up on this thread until this is dropped.
pub struct Ready(Means, PhantomData<*const ()>);

#[repr(C, align(64))]
struct Configuration([u8; 64]);

/// Every tile register is 16 rows of 64 bytes.
static CONFIGURATION: Configuration = {
    let mut bytes = [0; 64];
    bytes[0] = 1;
    let mut register = 0;
    while register < 8 {
        bytes[16 + 2 * register] = 64;
        bytes[48 + register] = SIDE as u8;
        register += 1;
    }
    Configuration(bytes)
};

impl Ready {
    pub(super) fn new(MatrixUnit(means, _): MatrixUnit) -> Self {
        if means == Means::Vectors {
            return Ready(means, PhantomData);
        }
        // SAFETY: the processor has the unit and the system permits it, as `MatrixUnit` proves; the
        // configuration is one that the architecture defines, 64 bytes long. Compiled code uses no tile
        // registers but those of `product`.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const CONFIGURATION, options(nostack, readonly)) };
        Ready(means, PhantomData)
    }

    /// The product of a tile's rows and columns, packed with this precision for the same number of steps.
    pub fn product(&self, precision: Precision, rows: &[Line], columns: &[Line], out: &mut Tile) {
        let lines = lines_of_step(precision);
        assert!(
            rows.len() == columns.len() && rows.len().is_multiple_of(lines),
            "as many steps of both operands"
        );
        let steps = rows.len() / lines;
        if steps == 0 {
            *out = Tile::ZERO;
            return;
        }
        if self.0 == Means::Vectors {
            assert_eq!(precision, Precision::Rounded, "vectors multiply only rounded numbers");
            let (rows, columns) = (rows.as_chunks().0, columns.as_chunks().0);
            let steps = rows.iter().map(Rows::packed).zip(columns.iter().map(Columns::packed));
            // SAFETY: the processor has the instructions; as many lines of either operand were given as there
            // are steps.
            return unsafe { sum_over_steps(steps, out, false) };
        }
        /// The sum over all steps of what these instructions add to the first register, with three in use.
        macro_rules! sum_over_steps {
            ($($instruction:literal),+) => {
                asm!(
                    "tilezero tmm0",
                    "2:",
                    $($instruction,)+
                    "add {rows}, {step}",
                    "add {columns}, {step}",
                    "dec {steps}",
                    "jnz 2b",
                    "tilestored [{out} + {line}], tmm0",
                    rows = inout(reg) rows.as_ptr() => _,
                    columns = inout(reg) columns.as_ptr() => _,
                    steps = inout(reg) steps => _,
                    step = in(reg) lines * size_of::<Line>(),
                    out = in(reg) out.0.as_mut_ptr(),
                    line = in(reg) size_of::<Line>(),
                    out("tmm0") _, out("tmm1") _, out("tmm2") _,
                    options(nostack),
                )
            };
        }
        // SAFETY: the unit is set up on this thread, which `Ready` cannot leave. Every step reads `lines`
        // lines of 64 bytes of each operand, as many as there are; the tile is written in whole.
        unsafe {
            match precision {
                // The smallest terms first.
                Precision::Whole => sum_over_steps!(
                    "tileloadd tmm1, [{rows} + {line}]",
                    "tileloadd tmm2, [{columns} + {line} + 2048]",
                    "tdpbf16ps tmm0, tmm1, tmm2",
                    "tileloadd tmm2, [{columns} + {line} + 1024]",
                    "tdpbf16ps tmm0, tmm1, tmm2",
                    "tileloadd tmm1, [{rows} + {line} + 1024]",
                    "tdpbf16ps tmm0, tmm1, tmm2",
                    "tileloadd tmm2, [{columns} + {line}]",
                    "tdpbf16ps tmm0, tmm1, tmm2",
                    "tileloadd tmm1, [{rows} + {line} + 2048]",
                    "tdpbf16ps tmm0, tmm1, tmm2",
                    "tileloadd tmm1, [{rows} + {line}]",
                    "tdpbf16ps tmm0, tmm1, tmm2"
                ),
                Precision::Rounded => sum_over_steps!(
                    "tileloadd tmm1, [{rows} + {line}]",
                    "tileloadd tmm2, [{columns} + {line}]",
                    "tdpbf16ps tmm0, tmm1, tmm2"
                ),
            }
        }
    }
}

impl Ready {
    /// The four products of two tiles' rows, packed in [`Precision::Rounded`], and two tiles' columns in
    /// pairs of rounded numbers: both products of the first rows, then those of the second. Every number read
    /// serves two products.
    ///
    /// # Panics
    /// If there are not as many steps of all, or one reads beyond the columns.
    pub fn products_of_places(
        &self,
        rows: [&[Line]; 2],
        columns: [&[u32]; 2],
        places: &Places,
        out: &mut [Tile; 4],
    ) {
        let Places { offsets, stride, reach } = places;
        assert!(rows.iter().all(|rows| rows.len() == offsets.len() * SIDE), "as many steps of both operands");
        assert!(columns.iter().all(|columns| *reach <= columns.len()), "columns within what is there");
        if offsets.is_empty() {
            out.fill(Tile::ZERO);
            return;
        }
        if self.0 == Means::Vectors {
            for (out, (rows, columns)) in out.iter_mut().zip([
                (rows[0], columns[0]),
                (rows[0], columns[1]),
                (rows[1], columns[0]),
                (rows[1], columns[1]),
            ]) {
                let columns = offsets
                    .iter()
                    .map(|&offset| Columns { first: columns[offset..].as_ptr(), stride: *stride });
                let steps = rows.as_chunks().0.iter().map(Rows::packed).zip(columns);
                // SAFETY: the processor has the instructions; there are as many lines of rows as steps, and
                // columns lie within what is there, which was checked.
                unsafe { sum_over_steps(steps, out, false) };
            }
            return;
        }
        // SAFETY: the unit is set up on this thread, which `Ready` cannot leave. Every step reads 16 lines of
        // either tile's rows, as many as there are, and 16 times 64 bytes of either's columns, which was
        // checked; tiles are written in whole.
        unsafe {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "2:",
                "mov {offset}, [{offsets}]",
                "lea {at}, [{first} + 4*{offset}]",
                "tileloadd tmm6, [{at} + {stride}]",
                "lea {at}, [{second} + 4*{offset}]",
                "tileloadd tmm4, [{upper} + {line}]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm7, [{at} + {stride}]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tileloadd tmm5, [{lower} + {line}]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {upper}, 1024",
                "add {lower}, 1024",
                "add {offsets}, 8",
                "dec {steps}",
                "jnz 2b",
                "tilestored [{out} + {line}], tmm0",
                "tilestored [{out} + {line} + 1024], tmm1",
                "tilestored [{out} + {line} + 2048], tmm2",
                "tilestored [{out} + {line} + 3072], tmm3",
                at = out(reg) _,
                offset = out(reg) _,
                upper = inout(reg) rows[0].as_ptr() => _,
                lower = inout(reg) rows[1].as_ptr() => _,
                offsets = inout(reg) offsets.as_ptr() => _,
                steps = inout(reg) offsets.len() => _,
                first = in(reg) columns[0].as_ptr(),
                second = in(reg) columns[1].as_ptr(),
                stride = in(reg) stride * size_of::<u32>(),
                line = in(reg) size_of::<Line>(),
                out = in(reg) out.as_mut_ptr(),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }
}

impl Ready {
    /// Adds to tile i the product of rows that begin i numbers further and packed columns
    /// ([`Precision::Rounded`]).
    ///
    /// # Panics
    /// If the last step reads beyond the numbers.
    pub fn add_products_of_shifts(&self, rows: Shifted<'_>, columns: &[Line], out: &mut [Tile; 3]) {
        let Shifted { numbers, stride } = rows;
        let steps = columns.len() / SIDE;
        let reach = (SIDE - 1) * stride + steps * STEP + out.len() - 1;
        assert!(columns.len().is_multiple_of(SIDE) && reach <= numbers.len(), "rows within what is there");
        if steps == 0 {
            return;
        }
        if self.0 == Means::Vectors {
            for (shift, out) in out.iter_mut().enumerate() {
                let rows =
                    (0..steps).map(|step| Rows { first: numbers[shift + step * STEP..].as_ptr(), stride });
                let steps = rows.zip(columns.as_chunks().0.iter().map(Columns::packed));
                // SAFETY: the processor has the instructions; there are as many lines of columns as steps,
                // and rows lie within what is there, which was checked.
                unsafe { sum_over_steps(steps, out, true) };
            }
            return;
        }
        // SAFETY: the unit is set up on this thread, which `Ready` cannot leave. Every step reads 16 lines of
        // columns, as many as there are, and three times 16 times 32 numbers of rows, which was checked;
        // tiles are read and written in whole.
        unsafe {
            asm!(
                "tileloadd tmm0, [{out} + {line}]",
                "tileloadd tmm1, [{out} + {line} + 1024]",
                "tileloadd tmm2, [{out} + {line} + 2048]",
                "2:",
                "tileloadd tmm3, [{columns} + {line}]",
                "tileloadd tmm4, [{rows} + {stride}]",
                "tdpbf16ps tmm0, tmm4, tmm3",
                "tileloadd tmm5, [{rows} + {stride} + 2]",
                "tdpbf16ps tmm1, tmm5, tmm3",
                "tileloadd tmm6, [{rows} + {stride} + 4]",
                "tdpbf16ps tmm2, tmm6, tmm3",
                "add {rows}, 64",
                "add {columns}, 1024",
                "dec {steps}",
                "jnz 2b",
                "tilestored [{out} + {line}], tmm0",
                "tilestored [{out} + {line} + 1024], tmm1",
                "tilestored [{out} + {line} + 2048], tmm2",
                rows = inout(reg) numbers.as_ptr() => _,
                columns = inout(reg) columns.as_ptr() => _,
                steps = inout(reg) steps => _,
                stride = in(reg) stride * size_of::<u16>(),
                line = in(reg) size_of::<Line>(),
                out = in(reg) out.as_mut_ptr(),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _, out("tmm4") _, out("tmm5") _, out("tmm6") _,
                options(nostack),
            );
        }
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        if self.0 == Means::Vectors {
            return;
        }
        // SAFETY: the processor has the unit; nothing of its state is used after this.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}
