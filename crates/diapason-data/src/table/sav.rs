//! SPSS system files (`.sav`): uncompressed, bytecode-compressed, or in blocks compressed by zlib
//! (`.zsav`).
//!
//! Layout after the "PSPP Developers Guide", chapter "System File Format": a header, a dictionary
//! of tagged records, and cases as slots of eight bytes. A string of more than eight bytes takes
//! several slots; one of more than 255 is several variables. Numbers are doubles.

mod dictionary;

use super::{Filler, input};
use crate::DataError;
use dictionary::{Dictionary, Fault, Packing};
use flate2::bufread::ZlibDecoder;
use rusqlite::types::Value;
use std::io::{self, BufRead, BufReader, Read};

/// A slot of eight bytes as it lies in the file.
type Slot = [u8; 8];

/// The number that stands for "system missing".
const SYSTEM_MISSING: f64 = -f64::MAX;

/// Reads the cases of the file that the filler has entered, one row each: numbers and texts, NULL
/// where the value is missing.
pub(super) fn read(filler: &mut Filler<'_>, bytes: &mut dyn BufRead) -> Result<(), DataError> {
    let path = filler.path.clone();
    let dictionary = Dictionary::read(bytes).map_err(|fault| fault.at(&path))?;
    let names = dictionary.variables.iter().map(|variable| variable.name.as_str());
    let positions = filler.columns(names, 1)?;
    let mut unpacked;
    let bytes: &mut dyn BufRead = if dictionary.packing == Packing::Zlib {
        let count = dictionary.block_bytes(bytes).map_err(|fault| fault.at(&path))?;
        unpacked = BufReader::new(Blocks::new(bytes, count));
        &mut unpacked
    } else {
        bytes
    };
    let mut slots = Slots { bytes, dictionary: &dictionary, codes: [0; 8], next: 8 };
    for row in 1.. {
        let mut cells = Vec::with_capacity(positions.len());
        for (number, variable) in dictionary.variables.iter().enumerate() {
            let slot = slots.next().map_err(|source| input::io_error(&path, source))?;
            let Some(first) = slot else {
                // Only between two cases may the file end.
                return if number == 0 { Ok(()) } else { Err(Fault::short().at(&path)) };
            };
            if variable.width == 0 {
                cells.push(number_cell(dictionary.number(first)));
                continue;
            }
            let mut text = first.to_vec();
            for _ in 1..variable.slots() {
                let slot = slots.next().map_err(|source| input::io_error(&path, source))?;
                text.extend(slot.ok_or_else(|| Fault::short().at(&path))?);
            }
            text.truncate(variable.width);
            let text = dictionary.text(&text).map_err(|byte| {
                let problem = format!("byte {byte} is not {}", dictionary.encoding_name());
                filler.cell(row, variable.name.clone(), problem, "")
            })?;
            cells.push(if text.is_empty() { Value::Null } else { Value::Text(text) });
        }
        filler.insert(row, &positions, cells)?;
    }
    Ok(())
}

/// Reads the value labels of the file that the filler has entered: a row for each value of each
/// variable that has labels, in the order of the file. `missing` is 1 for values that the file
/// declares as missing.
pub(super) fn read_labels(
    filler: &mut Filler<'_>,
    bytes: &mut dyn BufRead,
) -> Result<(), DataError> {
    let path = filler.path.clone();
    let dictionary = Dictionary::read(bytes).map_err(|fault| fault.at(&path))?;
    let columns = ["variable", "variable_label", "code", "label", "missing"];
    let positions = filler.columns(columns, 1)?;
    let mut row = 0;
    for set in &dictionary.labels {
        for index in &set.variables {
            let variable = &dictionary.variables[*index];
            for (code, label) in &set.labels {
                row += 1;
                let text = |text: &str| Value::Text(text.to_owned());
                let (code, missing) = if variable.width == 0 {
                    let code = dictionary.number(*code);
                    (number_cell(code), variable.is_missing(code))
                } else {
                    let code = dictionary.text(code).unwrap_or_default();
                    (Value::Text(code), false)
                };
                let question = variable.label.as_deref().map_or(Value::Null, text);
                let missing = Value::Integer(i64::from(missing));
                let cells = vec![text(&variable.name), question, code, text(label), missing];
                filler.insert(row, &positions, cells)?;
            }
        }
    }
    Ok(())
}

fn number_cell(number: f64) -> Value {
    if number == SYSTEM_MISSING || !number.is_finite() {
        Value::Null
    } else if number.fract() == 0.0 && number.abs() < 9e15 {
        Value::Integer(number as i64)
    } else {
        Value::Real(number)
    }
}

/// Compressed blocks, one behind the other: what is in them as one stream.
struct Blocks<'file> {
    /// The block that is being read, and no byte behind the last; `None` after the last.
    block: Option<ZlibDecoder<io::Take<&'file mut dyn BufRead>>>,
}

impl<'file> Blocks<'file> {
    /// All blocks in the next `count` bytes.
    fn new(bytes: &'file mut dyn BufRead, count: u64) -> Self {
        Blocks { block: Some(ZlibDecoder::new(bytes.take(count))) }
    }
}

impl Read for Blocks<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while let Some(block) = &mut self.block {
            let count = block.read(out)?;
            if count > 0 || out.is_empty() {
                return Ok(count);
            }
            // The block is over, or the file.
            let rest = self.block.take().map(ZlibDecoder::into_inner);
            let Some(mut rest) = rest.filter(|rest| rest.limit() > 0) else { break };
            if rest.fill_buf()?.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.block = Some(ZlibDecoder::new(rest));
        }
        Ok(0)
    }
}

/// The slots of all cases, decompressed.
struct Slots<'file> {
    bytes: &'file mut dyn BufRead,
    dictionary: &'file Dictionary,
    /// The bytecodes of the current block, and which of them comes next.
    codes: Slot,
    next: usize,
}

impl Slots<'_> {
    /// The next slot, or nothing at the end of the file.
    fn next(&mut self) -> std::io::Result<Option<Slot>> {
        if self.dictionary.packing == Packing::Plain {
            return self.plain();
        }
        loop {
            if self.next == self.codes.len() {
                let Some(codes) = self.plain()? else { return Ok(None) };
                (self.codes, self.next) = (codes, 0);
            }
            let code = self.codes[self.next];
            self.next += 1;
            match code {
                0 => {}
                252 => return Ok(None),
                253 => {
                    let early = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
                    return self.plain()?.map_or_else(|| Err(early()), |slot| Ok(Some(slot)));
                }
                254 => return Ok(Some(*b"        ")),
                255 => return Ok(Some(self.dictionary.slot(SYSTEM_MISSING))),
                code => {
                    let number = f64::from(code) - self.dictionary.bias;
                    return Ok(Some(self.dictionary.slot(number)));
                }
            }
        }
    }

    fn plain(&mut self) -> std::io::Result<Option<Slot>> {
        if self.bytes.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let mut slot = Slot::default();
        self.bytes.read_exact(&mut slot)?;
        Ok(Some(slot))
    }
}
