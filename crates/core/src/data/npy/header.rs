//! The header of an NPY file: a Python dictionary of three entries, parsed without Python.

use super::Kind;
use crate::Result;
use crate::data::array_file::Header;
use crate::data::input::Input;

const MAGIC: &[u8] = b"\x93NUMPY";
/// numpy itself refuses headers above 10 000 bytes; three entries and 64 axes need 1500.
const LONGEST: usize = 10_000;
const MOST_AXES: usize = 64;

pub(super) fn parse(input: &mut Input<'_>) -> Result<Header> {
    let start = input.bytes(8, "the NPY header")?;
    if &start[..6] != MAGIC {
        return Err(input.malformed("not an NPY file: it does not begin with \\x93NUMPY"));
    }
    let width = match start[6..] {
        [1, 0] => 2,
        [2 | 3, 0] => 4,
        _ => return Err(input.malformed(format!("NPY version {}.{} is unknown", start[6], start[7]))),
    };
    let length = input.bytes(width, "the NPY header")?;
    let length = length.iter().rev().fold(0, |length, &byte| length << 8 | usize::from(byte));
    if length > LONGEST {
        return Err(
            input.malformed(format!("its header claims {length} bytes; at most {LONGEST} are allowed"))
        );
    }
    let text = input.bytes(length, "the NPY header")?;
    let text = std::str::from_utf8(&text).map_err(|_| input.malformed("its header is not text"))?;
    dictionary(text).map_err(|problem| input.malformed(format!("header {:?}: {problem}", text.trim_end())))
}

/// `{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }`, the entries in any order.
fn dictionary(text: &str) -> Result<Header, String> {
    let mut parser = Parser(text);
    let (mut descr, mut fortran, mut shape) = (None, None, None);
    parser.expect('{')?;
    while !parser.eat('}') {
        let key = parser.string()?;
        parser.expect(':')?;
        let repeated = match key {
            "descr" => descr.replace(element(parser.string()?)?).is_some(),
            "fortran_order" => fortran.replace(parser.boolean()?).is_some(),
            "shape" => shape.replace(parser.tuple()?).is_some(),
            _ => return Err(format!("the entry `{key}` is unknown")),
        };
        if repeated {
            return Err(format!("the entry `{key}` is there twice"));
        }
        if !parser.eat(',') {
            parser.expect('}')?;
            break;
        }
    }
    if !parser.0.trim().is_empty() {
        return Err(format!("{:?} follows the dictionary", parser.0.trim()));
    }
    match (descr, fortran, shape) {
        (Some((kind, big_endian)), Some(fortran), Some(shape)) => {
            Ok(Header { kind, big_endian, fortran, shape })
        }
        _ => Err("`descr`, `fortran_order` and `shape` are all needed".to_owned()),
    }
}

/// An element type and whether it is big-endian, from numpy's spelling.
fn element(descr: &str) -> Result<(Kind, bool), String> {
    let unsupported =
        || format!("the element type `{descr}` is not supported; save bool, i1-i8, u1-u8, f4 or f8");
    let (order, name) = descr.split_at_checked(1).ok_or_else(unsupported)?;
    let kind = KINDS
        .iter()
        .find(|(_, spelling)| *spelling == name)
        .map(|&(kind, _)| kind)
        .ok_or_else(unsupported)?;
    match order {
        "<" => Ok((kind, false)),
        ">" => Ok((kind, true)),
        "|" if kind.size() == 1 => Ok((kind, false)),
        _ => Err(unsupported()),
    }
}

const KINDS: [(Kind, &str); 11] = [
    (Kind::Bool, "b1"),
    (Kind::I8, "i1"),
    (Kind::I16, "i2"),
    (Kind::I32, "i4"),
    (Kind::I64, "i8"),
    (Kind::U8, "u1"),
    (Kind::U16, "u2"),
    (Kind::U32, "u4"),
    (Kind::U64, "u8"),
    (Kind::F32, "f4"),
    (Kind::F64, "f8"),
];

struct Parser<'a>(&'a str);

impl<'a> Parser<'a> {
    fn eat(&mut self, c: char) -> bool {
        self.0 = self.0.trim_start();
        let rest = self.0.strip_prefix(c);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn expect(&mut self, c: char) -> Result<(), String> {
        if self.eat(c) { Ok(()) } else { Err(format!("expected `{c}` before {:?}", self.0)) }
    }

    fn string(&mut self) -> Result<&'a str, String> {
        let quote = if self.eat('"') { '"' } else { '\'' };
        if quote == '\'' {
            self.expect('\'')?;
        }
        let (string, rest) = self.0.split_once(quote).ok_or("a string does not end")?;
        self.0 = rest;
        Ok(string)
    }

    fn boolean(&mut self) -> Result<bool, String> {
        self.0 = self.0.trim_start();
        for (word, value) in [("True", true), ("False", false)] {
            if let Some(rest) = self.0.strip_prefix(word) {
                self.0 = rest;
                return Ok(value);
            }
        }
        Err(format!("expected True or False before {:?}", self.0))
    }

    fn tuple(&mut self) -> Result<Vec<usize>, String> {
        let mut items = Vec::new();
        self.expect('(')?;
        while !self.eat(')') {
            self.0 = self.0.trim_start();
            let digits = self.0.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.0.len());
            let (number, rest) = self.0.split_at(digits);
            items.push(
                number.parse().map_err(|_| format!("expected the length of an axis before {:?}", self.0))?,
            );
            // Python 2 wrote long integers with an L.
            self.0 = rest.strip_prefix('L').unwrap_or(rest);
            if items.len() > MOST_AXES {
                return Err(format!("more than {MOST_AXES} axes"));
            }
            if !self.eat(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(items)
    }
}

/// The bytes before the values, as numpy 2 writes them: room for the growing axis to reach 21 digits, then
/// padded so that the values begin at a multiple of 64.
pub(super) fn format(kind: Kind, fortran: bool, shape: &[usize]) -> Vec<u8> {
    let order = if kind.size() == 1 { '|' } else { '<' };
    let name = KINDS.iter().find(|(k, _)| *k == kind).map_or("", |(_, name)| name);
    let axes: Vec<String> = shape.iter().map(usize::to_string).collect();
    let tuple = if axes.len() == 1 { format!("({},)", axes[0]) } else { format!("({})", axes.join(", ")) };
    let python = if fortran { "True" } else { "False" };
    let mut text = format!("{{'descr': '{order}{name}', 'fortran_order': {python}, 'shape': {tuple}, }}");
    let growing = if fortran { axes.last() } else { axes.first() };
    text.extend(std::iter::repeat_n(' ', growing.map_or(0, |axis| 21_usize.saturating_sub(axis.len()))));
    let unpadded = MAGIC.len() + 2 + 2 + text.len() + 1;
    text.extend(std::iter::repeat_n(' ', unpadded.next_multiple_of(64) - unpadded));
    text.push('\n');
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    [MAGIC, &[1, 0], &length.to_le_bytes(), text.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_in_any_order_and_spelling() {
        let header = Header { kind: Kind::F64, big_endian: true, fortran: true, shape: vec![3, 4] };
        for text in [
            "{'descr': '>f8', 'fortran_order': True, 'shape': (3, 4), }   \n",
            "{\"shape\":(3L,4L),'fortran_order':True,\"descr\":'>f8'}",
        ] {
            assert_eq!(dictionary(text).as_ref(), Ok(&header));
        }
        let shape = |tuple: &str| {
            dictionary(&format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {tuple}}}"))
                .map(|h| h.shape)
        };
        assert_eq!(shape("()"), Ok(vec![]));
        assert_eq!(shape("(7,)"), Ok(vec![7]));
        for bad in ["(-1,)", "(1", "(1 2)", "(99999999999999999999,)", "[1]", "(,)"] {
            assert!(shape(bad).is_err_and(|problem| problem.contains("expected")), "{bad}");
        }
    }

    #[test]
    fn what_is_not_a_plain_array_is_refused_by_name() {
        for (text, problem) in [
            ("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': ()}", "expected `'`"),
            ("{'descr': '|O', 'fortran_order': False, 'shape': ()}", "`|O` is not supported"),
            ("{'descr': '|f8', 'fortran_order': False, 'shape': ()}", "`|f8` is not supported"),
            ("{'descr': '<f8', 'descr': '<f8', 'shape': ()}", "twice"),
            ("{'descr': '<f8', 'shape': ()}", "all needed"),
            ("{'descr': '<f8', 'fortran_order': False, 'shape': (), 'extra': 'x'}", "`extra` is unknown"),
            ("{'descr': '<f8', 'fortran_order': False, 'shape': ()} os.system()", "follows"),
            ("{'descr': '", "does not end"),
            ("", "expected `{`"),
        ] {
            assert!(dictionary(text).is_err_and(|found| found.contains(problem)), "{text}");
        }
    }
}
