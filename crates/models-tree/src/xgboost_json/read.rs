use std::collections::VecDeque;

use forecastle_core::{Error, Result, check_feature_names};

use super::schema::{Head, HeadLearner, Learner, Model, Objective, TreeModel};
use super::threshold::from_xgboost;
use crate::boosting::Content;
use crate::forest::{FlatNode, FlatSplit, Forest};
use crate::{Boosting, BoostingParams, FitReport, Loss};

/// Features of a model: more are taken for a forgery, since a number in the file costs nothing.
const MAX_FEATURES: usize = 65_536;

/// Levels of a tree. A walk has a fixed length, so one level too many costs every row.
const MAX_DEPTH: usize = 1024;

/// Nodes of all trees.
const MAX_NODES: usize = 1 << 30;

pub(crate) fn read(json: &[u8], given: Option<&[String]>) -> Result<Boosting> {
    if matches!(json, [b'{', b'L' | b'l' | b'i' | b'I' | b'U', ..]) {
        let reason = "it is in UBJSON; save it under a name that ends in `.json`";
        return Err(refused(reason));
    }
    let malformed = |e: serde_json::Error| refused(format!("it is not XGBoost's JSON: {e}"));
    let head: Head = serde_json::from_slice(json).map_err(malformed)?;
    check_head(&head)?;
    let model: Model = serde_json::from_slice(json).map_err(malformed)?;
    let learner = model.learner;
    let n_features = count(&learner.learner_model_param.num_feature, "num_feature", MAX_FEATURES)?;
    let loss = read_objective(&learner.objective)?;
    let base_score = f64::from(read_number(&learner.learner_model_param.base_score, "base_score")?);
    let feature_names = read_names(&learner, n_features, given)?;
    let (forest, rounds, best_round) = read_trees(&learner, n_features)?;
    let params = BoostingParams {
        n_rounds: rounds,
        loss,
        base_score: Some(base_score),
        ..BoostingParams::default()
    };
    let report = FitReport { rounds, best_round, base_score, ..FitReport::default() };
    Ok(Boosting::new(feature_names, Content { params, base_score, forest, report }))
}

/// Refuses kinds of model that our trees cannot be.
fn check_head(head: &Head) -> Result<()> {
    if !matches!(head.version.first(), Some(2 | 3)) {
        let numbers: Vec<String> = head.version.iter().map(u32::to_string).collect();
        let reason = format!("it is of version {}; 2 and 3 are read", numbers.join("."));
        return Err(refused(reason));
    }
    let HeadLearner { gradient_booster, objective, learner_model_param } = &head.learner;
    if gradient_booster.name != "gbtree" {
        let reason = format!("booster {:?} is not read, only gbtree", gradient_booster.name);
        return Err(refused(reason));
    }
    if !OBJECTIVES.contains(&objective.name.as_str()) {
        let known = OBJECTIVES.join(", ");
        return Err(refused(format!("objective {:?} is not one of {known}", objective.name)));
    }
    for (name, number) in [
        ("num_class", &learner_model_param.num_class),
        ("num_target", &learner_model_param.num_target),
    ] {
        if !matches!(number.as_str(), "0" | "1") {
            return Err(refused(format!("{name} is {number:?}; models of one output are read")));
        }
    }
    Ok(())
}

/// Those whose output is the sum of the trees.
const OBJECTIVES: [&str; 4] =
    ["reg:squarederror", "reg:absoluteerror", "reg:quantileerror", "reg:pseudohubererror"];

fn read_objective(objective: &Objective) -> Result<Loss> {
    let lacks = |what: &str| refused(format!("objective {:?} lacks {what}", objective.name));
    let loss = match objective.name.as_str() {
        "reg:quantileerror" => {
            let param = objective.quantile_loss_param.as_ref();
            let text = &param.ok_or_else(|| lacks("quantile_alpha"))?.quantile_alpha;
            Loss::Quantile { alpha: read_double(text, "quantile_alpha")? }
        }
        "reg:pseudohubererror" => {
            let param = objective.pseudo_huber_param.as_ref();
            let text = &param.ok_or_else(|| lacks("huber_slope"))?.huber_slope;
            Loss::Huber { delta: read_double(text, "huber_slope")? }
        }
        "reg:absoluteerror" => Loss::Absolute,
        _ => Loss::Squared,
    };
    loss.check().map_err(|e| refused(e.to_string()))?;
    Ok(loss)
}

fn read_names(
    learner: &Learner,
    n_features: usize,
    given: Option<&[String]>,
) -> Result<Vec<String>> {
    if let Some(kind) = learner.feature_types.iter().find(|kind| *kind == "c") {
        return Err(refused(format!("a feature is categorical (type {kind:?})")));
    }
    let own = &learner.feature_names;
    if !own.is_empty() && own.len() != n_features {
        let reason = format!("it has {} feature names for {n_features} features", own.len());
        return Err(refused(reason));
    }
    match given {
        Some(given) if own.is_empty() && given.len() != n_features => {
            let expected = format!("{n_features} names");
            Err(Error::shape("feature_names", expected, given.len().to_string()))
        }
        Some(given) if own.is_empty() => Ok(given.to_vec()),
        Some(given) => check_feature_names(own, given).map(|()| own.clone()),
        None if own.is_empty() => Ok((0..n_features).map(|j| format!("f{j}")).collect()),
        None => Ok(own.clone()),
    }
}

/// The trees up to the best iteration, the rounds in the file and those kept.
fn read_trees(learner: &Learner, n_features: usize) -> Result<(Forest, usize, usize)> {
    let model = &learner.gradient_booster.model;
    if model.cats.as_ref().is_some_and(|cats| !cats.enc.is_empty()) {
        return Err(refused("it has categorical features"));
    }
    let n_trees = count(&model.gbtree_model_param.num_trees, "num_trees", MAX_NODES)?;
    if model.trees.len() != n_trees || model.tree_info.len() != n_trees {
        return Err(refused("its trees are not as many as it says"));
    }
    if let Some(group) = model.tree_info.iter().find(|&&group| group != 0) {
        return Err(refused(format!("a tree is of output {group}; models of one output are read")));
    }
    let ends = round_ends(learner, n_trees)?;
    let rounds = ends.len();
    let kept = match &learner.attributes.best_iteration {
        None => rounds,
        Some(text) => match text.parse::<usize>() {
            Ok(best) if best < rounds => best + 1,
            _ => return Err(refused(format!("best_iteration {text:?} is not one of its rounds"))),
        },
    };
    let end = kept.checked_sub(1).map_or(0, |last| ends[last]);
    let mut forest = Forest::default();
    let mut total = 0;
    for (i, tree) in model.trees.iter().enumerate() {
        let (depth, nodes) =
            read_tree(tree, n_features).map_err(|fault| refused(format!("tree {i}: {fault}")))?;
        total += nodes.len();
        if total > MAX_NODES {
            return Err(refused(format!("it has more than {MAX_NODES} nodes")));
        }
        if i < end {
            forest.push_nodes(depth, nodes.into_iter());
        }
    }
    forest.validate(n_features)?;
    Ok((forest, rounds, kept))
}

/// One past the last tree of every round.
fn round_ends(learner: &Learner, n_trees: usize) -> Result<Vec<usize>> {
    let model = &learner.gradient_booster.model;
    let text = &model.gbtree_model_param.num_parallel_tree;
    let parallel = count(text, "num_parallel_tree", MAX_NODES)?;
    let ends: Vec<usize> = match &model.iteration_indptr {
        Some(bounds) => {
            let increasing = bounds.is_sorted() && bounds.first() == Some(&0);
            if !increasing || bounds.last().is_none_or(|&end| end as usize != n_trees) {
                return Err(refused("iteration_indptr does not part its trees"));
            }
            bounds.iter().skip(1).map(|&end| end as usize).collect()
        }
        None if parallel == 0 => return Err(refused("num_parallel_tree is 0")),
        None => (1..=n_trees.div_ceil(parallel)).map(|i| (i * parallel).min(n_trees)).collect(),
    };
    Ok(ends)
}

/// Depth and nodes of one tree, in our order; or what is wrong with it.
fn read_tree(tree: &TreeModel, n_features: usize) -> Result<(usize, Vec<FlatNode>), String> {
    let param = &tree.tree_param;
    let n = param.num_nodes.parse::<usize>().map_err(|_| "num_nodes is not a number")?;
    if !matches!(param.size_leaf_vector.as_str(), "0" | "1") {
        return Err("its leaves are vectors".to_owned());
    }
    if !tree.categories.is_empty() || tree.split_type.iter().any(|&kind| kind != 0) {
        return Err("it has a categorical split".to_owned());
    }
    let lengths = [
        tree.default_left.len(),
        tree.left_children.len(),
        tree.right_children.len(),
        tree.loss_changes.len(),
        tree.split_conditions.len(),
        tree.split_indices.len(),
        tree.sum_hessian.len(),
    ];
    if n == 0 || lengths != [n; 7] {
        return Err(format!("its arrays are not {n} long, or empty"));
    }
    let mut nodes = Vec::new();
    let mut seen = vec![false; n];
    // Level by level, so that siblings come side by side and after their parent.
    let mut queue = VecDeque::from([(0_usize, 0_usize)]);
    seen[0] = true;
    let mut depth = 0;
    while let Some((at, level)) = queue.pop_front() {
        depth = level;
        if level > MAX_DEPTH {
            return Err(format!("it is deeper than {MAX_DEPTH}"));
        }
        let (limit, cover) = (tree.split_conditions[at], tree.sum_hessian[at]);
        if !(limit.is_finite() && cover.is_finite() && cover >= 0.0) {
            return Err(format!("node {at} has a number that is not finite or a negative cover"));
        }
        let mut node = FlatNode { split: None, value: f64::from(limit), cover: f64::from(cover) };
        if let Some([left, right]) = children(tree, at)? {
            for child in [left, right] {
                if child >= n || std::mem::replace(&mut seen[child], true) {
                    return Err(format!("node {at} has a child that is absent or another's"));
                }
                queue.push_back((child, level + 1));
            }
            node.split = Some(FlatSplit {
                feature: usize::try_from(tree.split_indices[at])
                    .ok()
                    .filter(|&feature| feature < n_features)
                    .ok_or_else(|| format!("node {at} splits a feature that does not exist"))?,
                threshold: from_xgboost(limit),
                missing_right: !tree.default_left[at].0,
                // Of those in the queue, its children are the last two.
                left: (nodes.len() + queue.len() - 1) as u32,
                gain: f64::from(tree.loss_changes[at]),
            });
        }
        nodes.push(node);
    }
    if nodes.iter().any(|node| node.split.is_some_and(|split| !split.gain.is_finite())) {
        return Err("a loss change is not finite".to_owned());
    }
    Ok((depth, nodes))
}

/// A node's children, `None` for a leaf.
fn children(tree: &TreeModel, at: usize) -> Result<Option<[usize; 2]>, String> {
    match [tree.left_children[at], tree.right_children[at]] {
        [-1, -1] => Ok(None),
        [left, right] => match (usize::try_from(left), usize::try_from(right)) {
            (Ok(left), Ok(right)) => Ok(Some([left, right])),
            _ => Err(format!("node {at} has one child")),
        },
    }
}

/// A number that may be written as a vector of one.
fn scalar(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(text).trim()
}

fn read_number(text: &str, name: &str) -> Result<f32> {
    match scalar(text).parse::<f32>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => Err(refused(format!("{name} {text:?} is not one finite number"))),
    }
}

fn read_double(text: &str, name: &str) -> Result<f64> {
    match scalar(text).parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => Err(refused(format!("{name} {text:?} is not one finite number"))),
    }
}

fn count(text: &str, name: &str, most: usize) -> Result<usize> {
    match text.parse::<usize>() {
        Ok(number) if number <= most => Ok(number),
        _ => Err(refused(format!("{name} {text:?} is not a number of 0 to {most}"))),
    }
}

fn refused(reason: impl std::fmt::Display) -> Error {
    Error::artifact(format!("XGBoost model: {reason}"))
}
