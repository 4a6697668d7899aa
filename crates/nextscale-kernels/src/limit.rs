//! The instructions that an environment variable allows.

use std::sync::LazyLock;

/// Restricts the kernels to some instructions: `portable`, `avx2`, `avx512` or `amx`, each with all before it, or
/// to `fma`, whose results are the same on every x86-64 processor that has it. Without it the processor's best are
/// used.
pub const VARIABLE: &str = "NEXTSCALE_ROUTE";

/// Its value, read once; empty if it is not set.
static ASKED: LazyLock<String> =
    LazyLock::new(|| std::env::var_os(VARIABLE).unwrap_or_default().to_string_lossy().into_owned());

/// The instructions, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Instructions {
    Portable,
    Avx2,
    Avx512,
    Amx,
}

/// What may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The most instructions.
    pub most: Instructions,
    /// Whether results must not depend on them.
    pub fixed: bool,
}

impl Limit {
    const ALL: [(&str, Self); 6] = [
        ("portable", Self { most: Instructions::Portable, fixed: false }),
        ("avx2", Self { most: Instructions::Avx2, fixed: false }),
        ("avx512", Self { most: Instructions::Avx512, fixed: false }),
        ("amx", Self { most: Instructions::Amx, fixed: false }),
        ("fma", Self { most: Instructions::Avx512, fixed: true }),
        // `fma` as on a processor without AVX-512: for tests.
        ("fma-avx2", Self { most: Instructions::Avx2, fixed: true }),
    ];

    /// That of this name; everything if the name is empty.
    pub fn named(name: &str) -> Option<Self> {
        if name.is_empty() {
            return Some(Self { most: Instructions::Amx, fixed: false });
        }
        Self::ALL.iter().find(|(known, _)| *known == name).map(|&(_, limit)| limit)
    }

    /// What the variable allows.
    ///
    /// # Panics
    /// If it does not name a route.
    pub fn get() -> Self {
        static LIMIT: LazyLock<Limit> = LazyLock::new(|| {
            Limit::named(asked())
                .unwrap_or_else(|| panic!("{VARIABLE} is `{}`, which is not a route", asked()))
        });
        *LIMIT
    }
}

/// What the variable asks for; empty if it is not set.
pub fn asked() -> &'static str {
    &ASKED
}
