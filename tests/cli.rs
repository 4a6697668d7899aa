//! The program from outside: what a person types, sees, and finds on disk.

mod cli {
    pub mod ablation;
    pub mod bench;
    pub mod calibrate;
    pub mod curves;
    pub mod devices;
    pub mod evaluate;
    pub mod export;
    pub mod faults;
    pub mod help;
    pub mod interruption;
    pub mod kinds;
    #[cfg(target_os = "linux")]
    pub mod memory;
    pub mod missing;
    #[cfg(feature = "hub")]
    pub mod models;
    pub mod neighbours;
    pub mod probe;
    pub mod program;
    pub mod reconstruct;
    pub mod runs;
    pub mod selfcheck;
    pub mod shells;
    pub mod training;
    pub mod validate;
}
