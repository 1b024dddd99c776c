//! `{"cpu_utilization": 0.3, "named_metrics": {"queue": 12}}`, with names as in the
//! protocol buffer or as its JSON form has them (`cpuUtilization`), and numbers that may
//! be strings, as that form allows. What is of no use is skipped.

use serde_json::Value;

use super::{BadReport, Field, Map, checked, snake_case, text::number};

pub(super) fn read(text: &[u8], visit: &mut impl FnMut(Field<'_>, f64)) -> Result<(), BadReport> {
    let document: Value = serde_json::from_slice(text).map_err(|_| BadReport::Form)?;
    let Value::Object(fields) = document else { return Err(BadReport::Form) };
    for (name, value) in &fields {
        let name = snake_case(name);
        match (value, Map::of_name(&name)) {
            (Value::Object(entries), Some(map)) => {
                for (name, value) in entries {
                    if let Some(number) = of_value(value) {
                        visit(Field { map: Some(map), name }, number?);
                    }
                }
            }
            (value, _) => {
                if let Some(number) = of_value(value) {
                    visit(Field::own(&name), number?);
                }
            }
        }
    }
    Ok(())
}

fn of_value(value: &Value) -> Option<Result<f64, BadReport>> {
    match value {
        Value::Number(value) => value.as_f64().map(checked),
        Value::String(text) => number(text),
        _ => None,
    }
}
