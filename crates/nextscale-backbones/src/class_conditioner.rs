use nextscale_core::{Condition, ConditionRows, Error, PassCondition, Result};

use crate::Conditioner;
use crate::conditioner::of_side;

/// The conditioner of models with a table of classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassConditioner {
    /// The number of classes without the null class.
    pub classes: usize,
}

impl Conditioner for ClassConditioner {
    fn rows(&self, conditions: &[Condition], side: PassCondition) -> Result<ConditionRows> {
        let row = |condition: &Condition| match of_side(condition, side) {
            Condition::Class(class) if *class < self.classes => Ok(Some(*class)),
            Condition::Class(class) => Err(Error::setting(
                "condition",
                format!(
                    "label {class} is out of range; the model has classes 0 to {}",
                    self.classes.saturating_sub(1)
                ),
            )),
            Condition::Null => Ok(None),
            other => Err(Error::Unsupported(format!(
                "the model takes class labels or no condition, and was given {other}"
            ))),
        };
        Ok(ConditionRows::Classes(conditions.iter().map(row).collect::<Result<_>>()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_side_has_its_rows_and_what_it_cannot_take_is_named() {
        let conditioner = ClassConditioner { classes: 3 };
        let batch = [Condition::Class(2), Condition::Null, Condition::Class(0).avoiding(Condition::Class(1))];
        let rows = |side| match conditioner.rows(&batch, side).unwrap() {
            ConditionRows::Classes(rows) => rows,
            other => panic!("{other:?}"),
        };
        assert_eq!(rows(PassCondition::Given), [Some(2), None, Some(0)]);
        assert_eq!(rows(PassCondition::Negative), [None, None, Some(1)]);
        assert_eq!(rows(PassCondition::Null), [None; 3]);
        let refused =
            |condition| conditioner.rows(&[condition], PassCondition::Given).unwrap_err().to_string();
        assert!(
            refused(Condition::Class(3)).contains("label 3 is out of range; the model has classes 0 to 2")
        );
        assert!(refused(Condition::Prompt("a ship".into())).contains("was given \"a ship\""));
    }
}
