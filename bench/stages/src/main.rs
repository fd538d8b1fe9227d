//! `redlock-stages PART CYCLES`: so many cycles of one part, always the same ones.
//! scripts/instructions.js counts what they take.

use std::process::ExitCode;

use redlock_stages::PARTS;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let cycles = arguments.next().and_then(|number| number.parse().ok());
    let part = PARTS.iter().find(|(known, _)| *known == name);
    if let (Some((_, run)), Some(cycles)) = (part, cycles) {
        run(cycles);
        return ExitCode::SUCCESS;
    }
    let known: Vec<_> = PARTS.iter().map(|(name, _)| *name).collect();
    eprintln!(
        "redlock-stages PART CYCLES, where PART is one of {}",
        known.join(", ")
    );
    ExitCode::FAILURE
}
