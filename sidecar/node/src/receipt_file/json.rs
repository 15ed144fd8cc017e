//! The types of the network as JSON that people can read: they are made for MessagePack, which has byte strings; JSON has none, so these are
//! written as `{"hex": "…"}`. Total both ways: what was written is read as the same.

use rmpv::Value as Packed;
use serde::de::DeserializeOwned;
use serde::Serialize;
use serde_json::{Map, Number, Value};

/// The name of the only field of an object that stands for bytes. No type of the network has such a field.
const HEX: &str = "hex";
/// Deepest nesting that is read.
const DEPTH_MAX: usize = 32;

pub(super) fn write(value: &impl Serialize) -> Option<Value> {
    let packed = rmp_serde::to_vec_named(value).ok()?;
    unpacked(rmpv::decode::read_value(&mut packed.as_slice()).ok()?)
}

pub(super) fn read<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, &packed(value, DEPTH_MAX)?).map_err(|e| e.to_string())?;
    rmp_serde::from_slice(&bytes).map_err(|e| e.to_string())
}

fn unpacked(packed: Packed) -> Option<Value> {
    Some(match packed {
        Packed::Nil => Value::Null,
        Packed::Boolean(yes) => Value::Bool(yes),
        Packed::Integer(n) => Value::Number(n.as_u64().map(Number::from).or_else(|| n.as_i64().map(Number::from))?),
        Packed::String(text) => Value::String(text.into_str()?),
        Packed::Binary(bytes) => Value::Object(Map::from_iter([(HEX.into(), Value::String(hex::encode(bytes)))])),
        Packed::Array(items) => Value::Array(items.into_iter().map(unpacked).collect::<Option<_>>()?),
        Packed::Map(fields) => {
            let field = |(name, value): (Packed, Packed)| Some((name.as_str()?.to_owned(), unpacked(value)?));
            Value::Object(fields.into_iter().map(field).collect::<Option<_>>()?)
        }
        // The network knows no floating point, and no extensions.
        Packed::F32(_) | Packed::F64(_) | Packed::Ext(..) => return None,
    })
}

fn packed(value: Value, depth: usize) -> Result<Packed, String> {
    let depth = depth.checked_sub(1).ok_or("it is nested too deeply")?;
    Ok(match value {
        Value::Null => Packed::Nil,
        Value::Bool(yes) => Packed::Boolean(yes),
        Value::Number(n) => match (n.as_u64(), n.as_i64()) {
            (Some(n), _) => n.into(),
            (None, Some(n)) => n.into(),
            (None, None) => return Err(format!("{n} is no whole number")),
        },
        Value::String(text) => text.into(),
        Value::Array(items) => {
            Packed::Array(items.into_iter().map(|item| packed(item, depth)).collect::<Result<_, _>>()?)
        }
        Value::Object(fields) => match (fields.len(), fields.get(HEX)) {
            (1, Some(Value::String(digits))) => {
                Packed::Binary(hex::decode(digits).map_err(|_| "some bytes are not in hexadecimal")?)
            }
            _ => {
                let field = |(name, value): (String, Value)| Ok((Packed::from(name), packed(value, depth)?));
                Packed::Map(fields.into_iter().map(field).collect::<Result<_, String>>()?)
            }
        },
    })
}
