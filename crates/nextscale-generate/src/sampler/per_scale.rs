use nextscale_config::NumberOr;
use nextscale_core::{Error, Result, ScaleSchedule};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A setting of a sampler that may differ between scales. In configs a bare number applies to every scale,
/// and `List([..])` has one number per scale.
#[derive(Debug, Clone, PartialEq)]
pub enum PerScale<T> {
    /// The same at every scale.
    All(T),
    /// One per scale.
    List(Vec<T>),
}

impl<T: Copy> PerScale<T> {
    /// The value at scale `k`. A list that is too short, which [`check`](Self::check) refuses in advance,
    /// repeats its last value; an empty one has none.
    pub fn at(&self, k: usize) -> Option<T> {
        match self {
            Self::All(value) => Some(*value),
            Self::List(values) => values.get(k).or(values.last()).copied(),
        }
    }

    /// Checks it for a schedule: a list has one value per scale.
    ///
    /// # Errors
    /// [`Error::Setting`] for `field`.
    pub fn check(&self, field: &str, schedule: &ScaleSchedule) -> Result<()> {
        match self {
            Self::List(values) if values.len() != schedule.len() => {
                let (found, scales) = (values.len(), schedule.len());
                let message = format!("the list has {found} numbers for {scales} scales; give one a scale");
                Err(Error::setting(field, message))
            }
            _ => Ok(()),
        }
    }
}

impl<T> From<T> for PerScale<T> {
    fn from(value: T) -> Self {
        Self::All(value)
    }
}

impl<T: Serialize> Serialize for PerScale<T> {
    /// A value for all scales as the bare number.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All(value) => value.serialize(serializer),
            Self::List(values) => serializer.serialize_newtype_variant("PerScale", 1, "List", values),
        }
    }
}

/// A number as written in a config.
pub trait Number: Sized {
    /// The value of a number, or what is wrong with it.
    ///
    /// # Errors
    /// If it is not a valid number.
    fn of(number: f64) -> Result<Self, String>;
}

impl Number for f64 {
    fn of(number: f64) -> Result<Self, String> {
        Ok(number)
    }
}

impl Number for usize {
    fn of(number: f64) -> Result<Self, String> {
        // Beyond 2^53 a float is no longer the integer that was written.
        if number >= 0.0 && number.fract() == 0.0 && number <= (1_u64 << 53) as f64 {
            Ok(number as Self)
        } else {
            Err(format!("{number} is not a count; give a whole number of at least 0"))
        }
    }
}

#[derive(Deserialize)]
#[serde(rename = "PerScale")]
enum Form<T> {
    List(Vec<T>),
}

impl<'de, T: Number + serde::de::DeserializeOwned> Deserialize<'de> for PerScale<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match NumberOr::<Form<T>>::deserialize(deserializer)? {
            NumberOr::Number(number) => T::of(number).map(Self::All).map_err(serde::de::Error::custom),
            NumberOr::Other(Form::List(values)) => Ok(Self::List(values)),
        }
    }
}

impl<T: JsonSchema> JsonSchema for PerScale<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("PerScale_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let number = T::json_schema(generator);
        json_schema!({
            "anyOf": [
                number,
                {
                    "type": "object",
                    "properties": { "List": { "type": "array", "items": number, "description": "One a scale." } },
                    "required": ["List"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded<T: Number + serde::de::DeserializeOwned>(text: &str) -> Result<PerScale<T>, String> {
        let node = nextscale_config::Document::parse("test.ron", text).map_err(|error| error.to_string())?;
        node.decode().map_err(|error| error.to_string())
    }

    #[test]
    fn a_config_writes_a_number_or_a_list() {
        assert_eq!(decoded("900"), Ok(PerScale::All(900_usize)));
        assert_eq!(decoded("List([900, 1])"), Ok(PerScale::List(vec![900_usize, 1])));
        assert_eq!(decoded("0.96"), Ok(PerScale::All(0.96)));
        assert_eq!(decoded("List([0.9, 0])"), Ok(PerScale::List(vec![0.9, 0.0])));
        for text in ["-1", "0.5", "[1, 2]", "Ramp(1)", "List(1)", "List([0.5])"] {
            assert!(decoded::<usize>(text).is_err(), "{text}");
        }
        for value in [PerScale::All(2_usize), PerScale::List(vec![1, 2])] {
            let written = nextscale_config::Node::from_serialize(&value).unwrap().to_ron_string();
            assert_eq!(decoded(&written), Ok(value), "{written}");
        }
    }

    #[test]
    fn a_list_has_one_a_scale() {
        let schedule = ScaleSchedule::square(&[1, 2]).unwrap();
        assert_eq!(PerScale::List(vec![1, 2]).check("top_k", &schedule), Ok(()));
        let error = PerScale::List(vec![1]).check("top_k", &schedule).unwrap_err().to_string();
        assert!(error.starts_with("top_k: ") && error.contains("1 numbers for 2 scales"), "{error}");
        assert_eq!([0, 1].map(|k| PerScale::List(vec![5, 6]).at(k)), [Some(5), Some(6)]);
        assert_eq!(PerScale::All(3).at(7), Some(3));
    }
}
