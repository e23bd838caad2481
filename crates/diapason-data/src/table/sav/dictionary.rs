//! Header and dictionary of an SPSS system file.

use super::Slot;
use crate::DataError;
use std::io::{self, BufRead, Read};
use std::path::Path;

/// Longest text or record that a genuine dictionary holds; more is taken for damage.
const LONGEST: usize = 1 << 24;

/// Bytes of the header before compressed blocks.
const BLOCK_HEADER: u64 = 24;

/// One variable.
pub(super) struct Variable {
    pub name: String,
    pub label: Option<String>,
    /// Bytes of a string; 0 for a number.
    pub width: usize,
    /// Values declared as missing.
    missing: Vec<f64>,
    /// Whether the first two of them are the ends of a range.
    range: bool,
}

impl Variable {
    /// Slots of one value.
    pub(super) fn slots(&self) -> usize {
        self.width.div_ceil(8).max(1)
    }

    pub(super) fn is_missing(&self, code: f64) -> bool {
        let (range, single) = self.missing.split_at(if self.range { 2 } else { 0 });
        single.contains(&code) || matches!(range, [low, high] if (*low..=*high).contains(&code))
    }
}

/// Labels that some variables share.
pub(super) struct LabelSet {
    pub labels: Vec<(Slot, String)>,
    /// Indices of the variables.
    pub variables: Vec<usize>,
}

/// How the slots of cases are packed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// As they are.
    Plain,
    /// A byte for a slot where that is enough.
    Bytes,
    /// As [`Packing::Bytes`], in blocks that are compressed by zlib.
    Zlib,
}

/// What stands before the cases.
pub(super) struct Dictionary {
    pub variables: Vec<Variable>,
    pub labels: Vec<LabelSet>,
    pub packing: Packing,
    /// What is taken off a bytecode to give a small number.
    pub bias: f64,
    big_endian: bool,
    encoding: String,
}

/// What is wrong with a dictionary.
pub(super) enum Fault {
    Io(io::Error),
    Problem(String, &'static str),
}

impl Fault {
    pub(super) fn short() -> Self {
        Fault::Io(io::ErrorKind::UnexpectedEof.into())
    }

    pub(super) fn at(self, path: &Path) -> DataError {
        match self {
            Fault::Io(source) => super::input::io_error(path, source),
            Fault::Problem(problem, hint) => DataError::Format {
                path: path.to_owned(),
                format: "an SPSS system file that can be read",
                problem,
                hint: hint.to_owned(),
            },
        }
    }
}

impl From<io::Error> for Fault {
    fn from(problem: io::Error) -> Self {
        Fault::Io(problem)
    }
}

fn fault<T>(problem: impl Into<String>, hint: &'static str) -> Result<T, Fault> {
    Err(Fault::Problem(problem.into(), hint))
}

/// Raw texts of a variable, until the encoding is known.
struct RawVariable {
    name: Vec<u8>,
    label: Option<Vec<u8>>,
    variable: Variable,
    /// Number of its first slot, as label records count, from 1.
    slot: usize,
}

/// Raw texts of a label record, until the encoding is known.
struct RawLabels {
    labels: Vec<(Slot, Vec<u8>)>,
    slots: Vec<usize>,
}

/// Reads integers in the byte order of the file.
struct Records<'file> {
    bytes: &'file mut dyn BufRead,
    big_endian: bool,
}

impl Dictionary {
    /// Reads header and dictionary, and leaves the reader at the first case.
    pub(super) fn read(bytes: &mut dyn BufRead) -> Result<Dictionary, Fault> {
        let mut header = [0; 176];
        bytes.read_exact(&mut header)?;
        if !matches!(&header[..4], b"$FL2" | b"$FL3") {
            return fault("it does not begin with $FL2 or $FL3", "is it a .sav file at all?");
        }
        let field = |at: usize| [header[at], header[at + 1], header[at + 2], header[at + 3]];
        // The layout code is 2 or 3 in the byte order of the file.
        let big_endian = matches!(i32::from_be_bytes(field(64)), 2 | 3);
        let mut records = Records { bytes, big_endian };
        let packing = match records.order(field(72)) {
            0 => Packing::Plain,
            1 => Packing::Bytes,
            2 => Packing::Zlib,
            other => {
                let problem = format!("its compression {other} is unknown");
                return fault(problem, "save it as an ordinary .sav file");
            }
        };
        let bias: Slot = header[84..92].try_into().expect("a range of eight bytes");
        let mut dictionary = Dictionary {
            variables: Vec::new(),
            labels: Vec::new(),
            packing,
            bias: 0.0,
            big_endian,
            encoding: "windows-1252".to_owned(),
        };
        dictionary.bias = dictionary.number(bias);
        dictionary.records(&mut records)?;
        Ok(dictionary)
    }

    fn records(&mut self, records: &mut Records<'_>) -> Result<(), Fault> {
        let mut variables: Vec<RawVariable> = Vec::new();
        let mut label_sets: Vec<RawLabels> = Vec::new();
        let mut long_names = Vec::new();
        let mut slots = 0;
        loop {
            match records.integer()? {
                2 => {
                    slots += 1;
                    variables.extend(records.variable(slots, self)?);
                }
                3 => label_sets.push(records.labels()?),
                6 => {
                    let lines = records.count()?;
                    records.take(lines.saturating_mul(80))?;
                }
                7 => {
                    let subtype = records.integer()?;
                    let size = records.count()?;
                    let count = records.count()?;
                    let data = records.take(size.saturating_mul(count))?;
                    match subtype {
                        13 => long_names = data,
                        20 => {
                            String::from_utf8_lossy(&data).trim().clone_into(&mut self.encoding);
                        }
                        _ => {}
                    }
                }
                999 => {
                    records.integer()?;
                    break;
                }
                other => return fault(format!("its record type {other} is unknown"), ""),
            }
        }
        self.check_encoding()?;
        self.name(variables, label_sets, &long_names)
    }

    /// Bytes that the compressed blocks of the cases take, by the header that stands before them.
    pub(super) fn block_bytes(&self, bytes: &mut dyn BufRead) -> Result<u64, Fault> {
        let mut offset = || -> Result<u64, Fault> {
            let mut slot = Slot::default();
            bytes.read_exact(&mut slot)?;
            Ok(if self.big_endian { u64::from_be_bytes(slot) } else { u64::from_le_bytes(slot) })
        };
        let (here, trailer, _) = (offset()?, offset()?, offset()?);
        let blocks = trailer.checked_sub(here).and_then(|bytes| bytes.checked_sub(BLOCK_HEADER));
        match blocks {
            Some(blocks) => Ok(blocks),
            None => fault("its compressed blocks end before they begin", "the file may be damaged"),
        }
    }

    /// Gives variables and labels their texts.
    fn name(
        &mut self,
        variables: Vec<RawVariable>,
        label_sets: Vec<RawLabels>,
        long_names: &[u8],
    ) -> Result<(), Fault> {
        let wrong = |dictionary: &Dictionary, byte: usize| {
            let problem = format!("byte {byte} of a label is not {}", dictionary.encoding_name());
            Fault::Problem(problem, "")
        };
        let long_names = self.text(long_names).map_err(|byte| wrong(self, byte))?;
        let long_names: Vec<(&str, &str)> =
            long_names.split('\t').filter_map(|pair| pair.split_once('=')).collect();
        let mut at_slot = std::collections::HashMap::new();
        for raw in variables {
            let short = self.text(&raw.name).map_err(|byte| wrong(self, byte))?;
            let long = long_names.iter().find(|(name, _)| *name == short);
            let label = raw.label.map(|label| self.text(&label)).transpose();
            at_slot.insert(raw.slot, self.variables.len());
            let name = long.map_or(short.as_str(), |(_, long)| long).to_owned();
            let label = label.map_err(|byte| wrong(self, byte))?;
            self.variables.push(Variable { name, label, ..raw.variable });
        }
        for raw in label_sets {
            let mut labels = Vec::new();
            for (code, label) in raw.labels {
                labels.push((code, self.text(&label).map_err(|byte| wrong(self, byte))?));
            }
            let find = |slot: &usize| at_slot.get(slot).copied();
            let Some(variables) = raw.slots.iter().map(find).collect::<Option<Vec<_>>>() else {
                return fault("its labels belong to a variable that it lacks", "");
            };
            self.labels.push(LabelSet { labels, variables });
        }
        Ok(())
    }

    fn check_encoding(&self) -> Result<(), Fault> {
        let name = self.encoding.to_ascii_lowercase();
        if self.is_utf8()
            || ["windows-125", "iso-8859", "us-ascii"].iter().any(|known| name.starts_with(known))
        {
            return Ok(());
        }
        fault(format!("its encoding {} is not read here", self.encoding), "save it in UTF-8")
    }

    fn is_utf8(&self) -> bool {
        self.encoding.eq_ignore_ascii_case("utf-8")
    }

    pub(super) fn encoding_name(&self) -> &str {
        &self.encoding
    }

    /// The text of some bytes, without blanks at its end, or the number of the first bad byte.
    pub(super) fn text(&self, bytes: &[u8]) -> Result<String, usize> {
        let encoding = if self.is_utf8() {
            super::super::Encoding::Utf8
        } else {
            super::super::Encoding::Latin1
        };
        Ok(encoding.text(bytes)?.trim_end_matches([' ', '\0']).to_owned())
    }

    /// A slot as a number.
    pub(super) fn number(&self, slot: Slot) -> f64 {
        if self.big_endian { f64::from_be_bytes(slot) } else { f64::from_le_bytes(slot) }
    }

    /// A number as a slot.
    pub(super) fn slot(&self, number: f64) -> Slot {
        if self.big_endian { number.to_be_bytes() } else { number.to_le_bytes() }
    }
}

impl Records<'_> {
    fn order(&self, bytes: [u8; 4]) -> i32 {
        if self.big_endian { i32::from_be_bytes(bytes) } else { i32::from_le_bytes(bytes) }
    }

    fn integer(&mut self) -> Result<i32, Fault> {
        let mut bytes = [0; 4];
        self.bytes.read_exact(&mut bytes)?;
        Ok(self.order(bytes))
    }

    /// A count or a length, which damage could make absurd.
    fn count(&mut self) -> Result<usize, Fault> {
        let count = self.integer()?;
        match usize::try_from(count) {
            Ok(count) if count <= LONGEST => Ok(count),
            _ => fault(format!("it holds the length {count}"), "the file may be damaged"),
        }
    }

    fn take(&mut self, count: usize) -> Result<Vec<u8>, Fault> {
        let mut bytes = Vec::new();
        (&mut *self.bytes).take(count as u64).read_to_end(&mut bytes)?;
        if bytes.len() == count { Ok(bytes) } else { Err(Fault::short()) }
    }

    fn slot(&mut self) -> Result<Slot, Fault> {
        let mut slot = Slot::default();
        self.bytes.read_exact(&mut slot)?;
        Ok(slot)
    }

    /// A variable, or nothing for a further slot of the string before it.
    fn variable(
        &mut self,
        slot: usize,
        dictionary: &Dictionary,
    ) -> Result<Option<RawVariable>, Fault> {
        let width = self.integer()?;
        let labelled = self.integer()? == 1;
        let missing_count = self.integer()?;
        // Print and write formats.
        self.take(8)?;
        let name = self.take(8)?;
        let label = if labelled {
            let length = self.count()?;
            let mut label = self.take(length.next_multiple_of(4))?;
            label.truncate(length);
            Some(label)
        } else {
            None
        };
        let mut missing = Vec::new();
        for _ in 0..missing_count.unsigned_abs().min(3) {
            missing.push(dictionary.number(self.slot()?));
        }
        let Ok(width) = usize::try_from(width) else {
            return Ok(None);
        };
        let range = missing_count < -1;
        let variable = Variable { name: String::new(), label: None, width, missing, range };
        Ok(Some(RawVariable { name, label, variable, slot }))
    }

    /// A record of value labels with the record of its variables.
    fn labels(&mut self) -> Result<RawLabels, Fault> {
        let mut labels = Vec::new();
        for _ in 0..self.count()? {
            let code = self.slot()?;
            let length = self.take(1)?[0] as usize;
            // Length and text together fill whole slots.
            let mut label = self.take((length + 1).next_multiple_of(8) - 1)?;
            label.truncate(length);
            labels.push((code, label));
        }
        if self.integer()? != 4 {
            return fault("value labels stand without their variables", "");
        }
        let mut slots = Vec::new();
        for _ in 0..self.count()? {
            slots.push(self.count()?);
        }
        Ok(RawLabels { labels, slots })
    }
}
