//! Rendering and tokenising seen from outside, in one binary.

#[cfg(test)]
mod common;
#[cfg(test)]
mod dropout;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod jinja;
#[cfg(test)]
mod rendering;
#[cfg(test)]
mod tokens;
