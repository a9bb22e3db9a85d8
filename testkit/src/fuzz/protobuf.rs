//! Changes of protobuf messages that keep their lengths true.

use super::mutate;
use crate::dice::Dice;

enum Payload {
    Varint(u64),
    Fixed(u64, Vec<u8>),
    Bytes(Vec<u8>),
}

/// Changes one field at any depth; nothing for what is no message.
pub fn mutate(dice: &mut Dice, message: &[u8]) -> Option<Vec<u8>> {
    let mut fields = parse(message)?;
    if fields.is_empty() {
        return None;
    }
    let place = dice.below(fields.len());
    match dice.below(8) {
        0 => drop(fields.remove(place)),
        1 => fields[place].0 = 1 + dice.bits() % 40,
        2 => {
            let (number, payload) = &fields[place];
            let twin = (*number, copy(payload));
            fields.push(twin);
        }
        3 => {
            let other = dice.below(fields.len());
            fields.swap(place, other);
        }
        _ => match &mut fields[place].1 {
            Payload::Varint(number) => *number = dice.bits() >> dice.below(64),
            Payload::Fixed(_, bytes) => bytes.fill(dice.bits() as u8),
            Payload::Bytes(bytes) => {
                let inner = if dice.one_in(6) { None } else { mutate(dice, bytes) };
                *bytes = inner.unwrap_or_else(|| mutate::bytes(dice, bytes.clone(), &[]));
            }
        },
    }
    Some(write(&fields))
}

fn copy(payload: &Payload) -> Payload {
    match payload {
        Payload::Varint(number) => Payload::Varint(*number),
        Payload::Fixed(kind, bytes) => Payload::Fixed(*kind, bytes.clone()),
        Payload::Bytes(bytes) => Payload::Bytes(bytes.clone()),
    }
}

fn parse(mut message: &[u8]) -> Option<Vec<(u64, Payload)>> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        let payload = match tag & 7 {
            0 => Payload::Varint(varint(&mut message)?),
            kind @ (1 | 5) => Payload::Fixed(kind, take(&mut message, if kind == 1 { 8 } else { 4 })?),
            2 => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                Payload::Bytes(take(&mut message, length)?)
            }
            _ => return None,
        };
        fields.push((tag >> 3, payload));
    }
    Some(fields)
}

fn take(message: &mut &[u8], length: usize) -> Option<Vec<u8>> {
    let (part, rest) = message.split_at_checked(length)?;
    *message = rest;
    Some(part.to_vec())
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn write(fields: &[(u64, Payload)]) -> Vec<u8> {
    let mut message = Vec::new();
    for (number, payload) in fields {
        match payload {
            Payload::Varint(value) => {
                put(&mut message, number << 3);
                put(&mut message, *value);
            }
            Payload::Fixed(kind, bytes) => {
                put(&mut message, number << 3 | kind);
                message.extend(bytes);
            }
            Payload::Bytes(bytes) => {
                put(&mut message, number << 3 | 2);
                put(&mut message, bytes.len() as u64);
                message.extend(bytes);
            }
        }
    }
    message
}

fn put(message: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        message.push(number as u8 | 0x80);
        number >>= 7;
    }
    message.push(number as u8);
}
