//! Every client against the sandbox of the platforms, over real HTTP: every post type, kills after
//! each step, lost answers, and what users of other schedulers suffered from.

mod cases;
mod files;
mod kills;
mod pains;
mod refusals;
mod stage;
