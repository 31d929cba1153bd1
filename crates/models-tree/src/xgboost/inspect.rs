use std::borrow::Cow;

use forecastle_core::{Error, Result};
use serde_json::Value;

use super::{XgboostVersion, ubj};

/// Most features that a model may have.
const MOST_FEATURES: usize = 1 << 20;

/// Objectives whose predictions are the sums of leaves.
const OBJECTIVES: [&str; 4] =
    ["reg:squarederror", "reg:absoluteerror", "reg:quantileerror", "reg:pseudohubererror"];

/// What a model says of itself.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Summary {
    /// Empty where it was learnt without names.
    pub(super) feature_names: Vec<String>,
    pub(super) n_features: usize,
    pub(super) n_trees: usize,
    pub(super) base_score: f64,
    /// The version that wrote it.
    pub(super) version: XgboostVersion,
    /// What the splits on each feature gained, and how many there are.
    pub(super) gains: Vec<(f64, u32)>,
}

/// Checks a model in XGBoost's UBJSON.
///
/// XGBoost follows the numbers of nodes and features in a model without a look at their range, so
/// bytes from anywhere must not reach it before all of them have been seen to fit.
pub(super) fn ubj(bytes: &[u8]) -> Result<Summary> {
    summary(&ubj::parse(bytes)?)
}

/// Checks a model in XGBoost's JSON; see [`ubj`].
pub(super) fn json(text: &str) -> Result<Summary> {
    let value = serde_json::from_str(&without_infinities(text));
    let value = value.map_err(|error| refused(&format!("it is no JSON: {error}")))?;
    // XGBoost may keep the other of two, and what it keeps must be what is checked.
    if members(&value) != colons(text) {
        return Err(refused("a key that comes twice"));
    }
    summary(&value)
}

/// Members of all objects in a value.
fn members(value: &Value) -> usize {
    match value {
        Value::Object(object) => object.values().map(|value| 1 + members(value)).sum(),
        Value::Array(array) => array.iter().map(members).sum(),
        _ => 0,
    }
}

/// Colons outside of texts: as many as objects have members.
fn colons(text: &str) -> usize {
    let (mut quoted, mut escaped, mut colons) = (false, false, 0);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b':' if !quoted => colons += 1,
            _ => (),
        }
    }
    colons
}

fn refused(what: &str) -> Error {
    Error::artifact(format!("the XGBoost model is malformed: {what}"))
}

/// XGBoost writes `Infinity`, `-Infinity` and `NaN`, which JSON has not: they become null.
fn without_infinities(text: &str) -> Cow<'_, str> {
    if !["Infinity", "NaN"].iter().any(|word| text.contains(word)) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let (mut rest, mut quoted) = (text, false);
    while let Some(first) = rest.chars().next() {
        let word = ["-Infinity", "Infinity", "NaN"].into_iter().find(|word| rest.starts_with(word));
        let taken = match (quoted, word, first) {
            (false, Some(word), _) => {
                plain.push_str("null");
                word.len()
            }
            (true, _, '\\') => {
                let taken: usize = rest.chars().take(2).map(char::len_utf8).sum();
                plain.push_str(&rest[..taken]);
                taken
            }
            _ => {
                quoted ^= first == '"';
                plain.push(first);
                first.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    Cow::Owned(plain)
}

fn summary(model: &Value) -> Result<Summary> {
    let learner = get(model, "learner")?;
    let booster = get(learner, "gradient_booster")?;
    if text(booster, "name")? != "gbtree" {
        return Err(refused("its booster is not gbtree"));
    }
    let objective = text(get(learner, "objective")?, "name")?;
    if !OBJECTIVES.contains(&objective) {
        return Err(refused(&format!("its objective {objective:?} is no regression known here")));
    }
    let params = get(learner, "learner_model_param")?;
    if count(params, "num_class")? > 1 || count(params, "num_target")? != 1 {
        return Err(refused("it answers several numbers a row"));
    }
    let n_features = count(params, "num_feature")?;
    if !(1..=MOST_FEATURES).contains(&n_features) {
        return Err(refused(&format!("it has {n_features} features")));
    }
    let base_score = text(params, "base_score")?;
    // Since 3.1 an array of one.
    let base_score = base_score.trim_start_matches('[').trim_end_matches(']').parse::<f32>();
    let base_score = base_score.ok().filter(|score| score.is_finite());
    let base_score = base_score.ok_or_else(|| refused("its base_score is no number"))?;
    let feature_names = match learner.get("feature_names") {
        None => Vec::new(),
        Some(_) => names(array(learner, "feature_names")?)?,
    };
    if !feature_names.is_empty() && feature_names.len() != n_features {
        return Err(refused("the number of feature names differs from that of features"));
    }
    let mut summary = Summary {
        feature_names,
        n_features,
        n_trees: 0,
        base_score: f64::from(base_score),
        version: version(model)?,
        gains: vec![(0.0, 0); n_features],
    };
    let model = get(booster, "model")?;
    summary.n_trees = check_rounds(model)?;
    for tree in array(model, "trees")? {
        Tree::new(tree, n_features)?.walk(&mut summary.gains)?;
    }
    Ok(summary)
}

/// Checks what stands beside the trees; returns their number.
fn check_rounds(model: &Value) -> Result<usize> {
    let params = get(model, "gbtree_model_param")?;
    let n_trees = array(model, "trees")?.len();
    if count(params, "num_trees")? != n_trees {
        return Err(refused("the number of trees differs from what it says"));
    }
    // Rounds are counted by dividing by it.
    if count(params, "num_parallel_tree")? != 1 {
        return Err(refused("it grows several trees a round"));
    }
    let groups = integers(model, "tree_info")?;
    if groups.len() != n_trees || groups.iter().any(|&group| group != 0) {
        return Err(refused("tree_info does not fit the trees"));
    }
    if model.get("iteration_indptr").is_some() {
        let rounds = integers(model, "iteration_indptr")?;
        let ends = (rounds.first().copied(), rounds.last().copied());
        if ends != (Some(0), Some(n_trees as i64)) || !rounds.is_sorted() {
            return Err(refused("iteration_indptr does not fit the trees"));
        }
    }
    if let Some(categories) = model.get("cats") {
        let full = |(_, value): (_, &Value)| value.as_array().is_none_or(|a| !a.is_empty());
        if categories.as_object().is_none_or(|object| object.iter().any(full)) {
            return Err(refused("it has categorical features"));
        }
    }
    Ok(n_trees)
}

/// A tree's arrays, of equal length.
struct Tree {
    left: Vec<i64>,
    right: Vec<i64>,
    parents: Vec<i64>,
    features: Vec<i64>,
    /// A threshold, or a leaf's answer.
    conditions: Vec<f64>,
    gains: Vec<f64>,
}

impl Tree {
    fn new(tree: &Value, n_features: usize) -> Result<Self> {
        let params = get(tree, "tree_param")?;
        let n = count(params, "num_nodes")?;
        if count(params, "size_leaf_vector")? > 1 || count(params, "num_feature")? != n_features {
            return Err(refused("a tree's tree_param does not fit the model"));
        }
        for name in ["categories", "categories_nodes", "categories_segments", "categories_sizes"] {
            if tree.get(name).is_some() && !array(tree, name)?.is_empty() {
                return Err(refused("a tree splits by categories"));
            }
        }
        if tree.get("split_type").is_some()
            && integers(tree, "split_type")?.iter().any(|&kind| kind != 0)
        {
            return Err(refused("a tree splits by categories"));
        }
        for name in ["default_left", "base_weights", "sum_hessian"] {
            if array(tree, name)?.len() != n {
                return Err(refused(&format!("a tree's {name} is of another length")));
            }
        }
        let tree = Self {
            left: integers(tree, "left_children")?,
            right: integers(tree, "right_children")?,
            parents: integers(tree, "parents")?,
            features: integers(tree, "split_indices")?,
            conditions: floats(tree, "split_conditions")?,
            gains: floats(tree, "loss_changes")?,
        };
        let lengths = [
            tree.left.len(),
            tree.right.len(),
            tree.parents.len(),
            tree.features.len(),
            tree.conditions.len(),
            tree.gains.len(),
        ];
        if n == 0 || lengths.iter().any(|&length| length != n) {
            return Err(refused("a tree's arrays are of different lengths"));
        }
        Ok(tree)
    }

    /// Visits every node once and adds up what the splits gained.
    fn walk(&self, gains: &mut [(f64, u32)]) -> Result<()> {
        let n = self.left.len();
        let mut seen = vec![false; n];
        let mut open = vec![0];
        while let Some(node) = open.pop() {
            if std::mem::replace(&mut seen[node], true) {
                return Err(refused("a node has two parents"));
            }
            if self.left[node] == -1 && self.right[node] == -1 {
                if !self.conditions[node].is_finite() {
                    return Err(refused("a leaf is no number"));
                }
                continue;
            }
            let feature = usize::try_from(self.features[node]).ok();
            let Some((gain, splits)) = feature.and_then(|feature| gains.get_mut(feature)) else {
                return Err(refused("a split on a feature that is not there"));
            };
            *gain += self.gains[node];
            *splits += 1;
            for child in [self.left[node], self.right[node]] {
                match usize::try_from(child) {
                    Ok(child) if child < n && self.parents[child] == node as i64 => {
                        open.push(child);
                    }
                    _ => return Err(refused("a child that is not there")),
                }
            }
        }
        Ok(())
    }
}

fn get<'a>(value: &'a Value, name: &str) -> Result<&'a Value> {
    value.get(name).ok_or_else(|| refused(&format!("it has no {name}")))
}

fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str> {
    get(value, name)?.as_str().ok_or_else(|| refused(&format!("{name} is no text")))
}

/// A number that XGBoost writes as a text.
fn count(value: &Value, name: &str) -> Result<usize> {
    text(value, name)?.parse().map_err(|_| refused(&format!("{name} is no number")))
}

fn array<'a>(value: &'a Value, name: &str) -> Result<&'a Vec<Value>> {
    get(value, name)?.as_array().ok_or_else(|| refused(&format!("{name} is no array")))
}

fn integers(value: &Value, name: &str) -> Result<Vec<i64>> {
    let numbers: Option<Vec<i64>> = array(value, name)?.iter().map(Value::as_i64).collect();
    numbers.ok_or_else(|| refused(&format!("{name} holds no whole numbers")))
}

/// 32-bit numbers, which JSON holds with fewer digits than 64 bits want; null is NaN.
fn floats(value: &Value, name: &str) -> Result<Vec<f64>> {
    let number = |v: &Value| match v {
        Value::Null => Some(f64::NAN),
        _ => v.as_f64().map(|v| f64::from(v as f32)),
    };
    let numbers: Option<Vec<f64>> = array(value, name)?.iter().map(number).collect();
    numbers.ok_or_else(|| refused(&format!("{name} holds no numbers")))
}

fn names(values: &[Value]) -> Result<Vec<String>> {
    let names: Option<Vec<String>> =
        values.iter().map(|name| name.as_str().map(str::to_owned)).collect();
    names.ok_or_else(|| refused("a feature name is no text"))
}

fn version(model: &Value) -> Result<XgboostVersion> {
    let numbers = integers(model, "version")?;
    let number = |i: usize| numbers.get(i).and_then(|&n| u32::try_from(n).ok());
    match (number(0), number(1), number(2)) {
        (Some(major), Some(minor), Some(patch)) => Ok(XgboostVersion { major, minor, patch }),
        _ => Err(refused("its version is no version")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_json_has_not_become_null() {
        let text = r#"{"a": [Infinity, -Infinity, NaN, 1], "NaN \" Infinity": "\\"}"#;
        let value: Value = serde_json::from_str(&without_infinities(text)).unwrap();
        assert_eq!(value, serde_json::json!({"a": [null, null, null, 1], "NaN \" Infinity": "\\"}));
    }

    #[test]
    fn keys_that_come_twice_are_counted() {
        for (text, twice) in [
            (r#"{"a": {"b:": [{"c": 1}], "d\":": ":\\"}, "e": null}"#, false),
            (r#"{"a": {"b": 1, "b": 2}}"#, true),
            (r#"[{"a": 1}, {"a": 1}]"#, false),
        ] {
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(members(&value) != colons(text), twice, "{text}");
        }
    }
}
