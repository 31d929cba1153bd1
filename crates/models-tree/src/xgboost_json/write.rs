use forecastle_core::{Error, Predict, Result};

use super::schema::{
    Attributes, Flag, GbtreeModel, GbtreeModelParam, GradientBooster, Learner, LearnerModelParam,
    Model, NO_PARENT, Objective, PseudoHuberParam, QuantileLossParam, RegLossParam, TreeModel,
    TreeParam,
};
use super::threshold::to_xgboost;
use crate::forest::FlatNode;
use crate::{Boosting, Loss};

/// The version a written model claims: the oldest whose format it is.
const VERSION: [u32; 3] = [2, 0, 0];

pub(crate) fn write(model: &Boosting) -> Result<Vec<u8>> {
    let names = model.feature_names();
    check_names(names)?;
    let trees: Result<Vec<TreeModel>> = model
        .forest()
        .trees()
        .enumerate()
        .map(|(id, nodes)| write_tree(id as i32, nodes.collect(), names.len()))
        .collect();
    let trees = trees?;
    let base_score = single(model.base_score(), "base score")?;
    let document = Model {
        learner: Learner {
            attributes: Attributes::default(),
            feature_names: names.to_vec(),
            feature_types: vec!["float".to_owned(); names.len()],
            gradient_booster: GradientBooster {
                model: GbtreeModel {
                    cats: None,
                    gbtree_model_param: GbtreeModelParam {
                        num_parallel_tree: "1".to_owned(),
                        num_trees: trees.len().to_string(),
                    },
                    iteration_indptr: Some((0..=trees.len() as u32).collect()),
                    tree_info: vec![0; trees.len()],
                    trees,
                },
                name: "gbtree".to_owned(),
            },
            learner_model_param: LearnerModelParam {
                base_score: format!("{base_score:E}"),
                boost_from_average: "1".to_owned(),
                num_class: "0".to_owned(),
                num_feature: names.len().to_string(),
                num_target: "1".to_owned(),
            },
            objective: objective(model.params().loss),
        },
        version: VERSION.to_vec(),
    };
    serde_json::to_vec(&document).map_err(|e| Error::component("JSON", e))
}

/// Refuses names that XGBoost's Python package does not take.
fn check_names(names: &[String]) -> Result<()> {
    let foreign = |name: &&String| name.contains(['[', ']', '<']);
    if let Some(name) = names.iter().find(foreign) {
        let requirement = "free of `[`, `]` and `<` for XGBoost";
        return Err(Error::invalid_parameter("feature_names", requirement, name));
    }
    let mut sorted: Vec<&String> = names.iter().collect();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Error::invalid_parameter("feature_names", "unique for XGBoost", pair[0])),
        None => Ok(()),
    }
}

fn objective(loss: Loss) -> Objective {
    match loss {
        Loss::Squared => Objective {
            name: "reg:squarederror".to_owned(),
            reg_loss_param: Some(RegLossParam { scale_pos_weight: "1".to_owned() }),
            ..Objective::default()
        },
        Loss::Absolute => {
            Objective { name: "reg:absoluteerror".to_owned(), ..Objective::default() }
        }
        Loss::Quantile { alpha } => Objective {
            name: "reg:quantileerror".to_owned(),
            quantile_loss_param: Some(QuantileLossParam {
                quantile_alpha: format!("[{:E}]", alpha as f32),
            }),
            ..Objective::default()
        },
        Loss::Huber { delta } => Objective {
            name: "reg:pseudohubererror".to_owned(),
            pseudo_huber_param: Some(PseudoHuberParam {
                huber_slope: format!("{:E}", delta.min(f64::from(f32::MAX)) as f32),
            }),
            ..Objective::default()
        },
    }
}

fn write_tree(id: i32, nodes: Vec<FlatNode>, n_features: usize) -> Result<TreeModel> {
    let n = nodes.len();
    if i32::try_from(n).is_err() {
        return Err(Error::artifact("a tree has too many nodes for XGBoost"));
    }
    let means = mean_values(&nodes);
    let mut tree = TreeModel {
        default_left: vec![Flag(false); n],
        id,
        left_children: vec![-1; n],
        loss_changes: vec![0.0; n],
        parents: vec![NO_PARENT; n],
        right_children: vec![-1; n],
        split_conditions: vec![0.0; n],
        split_indices: vec![0; n],
        split_type: vec![0; n],
        tree_param: TreeParam {
            num_deleted: "0".to_owned(),
            num_feature: n_features.to_string(),
            num_nodes: n.to_string(),
            size_leaf_vector: "1".to_owned(),
        },
        ..TreeModel::default()
    };
    // Our number of each node in the file's order: XGBoost takes the node after the left child for
    // the right one, whatever the file says.
    let mut order = Vec::with_capacity(n);
    order.push(0);
    for at in 0..n {
        let Some(&number) = order.get(at) else { break };
        let node = nodes[number];
        tree.base_weights.push(means[number]);
        tree.sum_hessian.push(clamped(node.cover));
        let Some(split) = node.split else {
            tree.split_conditions[at] = single(node.value, "leaf")?;
            continue;
        };
        let near = split.left as usize;
        // Where every number goes left, "less than the least" sends them all to the other child.
        let (limit, children, default_left) = match to_xgboost(split.threshold) {
            Some(limit) => (limit, [near, near + 1], !split.missing_right),
            None => (f32::MIN, [near + 1, near], split.missing_right),
        };
        let left = order.len();
        order.extend(children);
        tree.split_conditions[at] = limit;
        tree.left_children[at] = left as i32;
        tree.right_children[at] = left as i32 + 1;
        tree.default_left[at] = Flag(default_left);
        tree.split_indices[at] = split.feature as i64;
        tree.loss_changes[at] = clamped(split.gain);
        tree.parents[left] = at as i32;
        tree.parents[left + 1] = at as i32;
    }
    Ok(tree)
}

/// What each node would answer as a leaf: the mean of the leaves below, by cover.
fn mean_values(nodes: &[FlatNode]) -> Vec<f32> {
    let mut means: Vec<f64> = nodes.iter().map(|node| node.value).collect();
    for (at, node) in nodes.iter().enumerate().rev() {
        if let Some(split) = node.split {
            let left = split.left as usize;
            let (a, b) = (nodes[left].cover, nodes[left + 1].cover);
            let share = if a + b > 0.0 { a / (a + b) } else { 0.5 };
            means[at] = share * means[left] + (1.0 - share) * means[left + 1];
        }
    }
    means.into_iter().map(clamped).collect()
}

/// The number in single precision, which must hold it.
fn single(value: f64, what: &str) -> Result<f32> {
    let narrow = value as f32;
    if narrow.is_finite() {
        return Ok(narrow);
    }
    let reason = format!("a {what} of {value:e} is beyond XGBoost's single precision");
    Err(Error::numerical("XGBoost model", reason))
}

/// The number in single precision, or the nearest to it.
fn clamped(value: f64) -> f32 {
    value.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32
}
