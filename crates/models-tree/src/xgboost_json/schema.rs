//! The shape of XGBoost's JSON models; what is not named here is passed over.

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Marks the root in `parents`.
pub(crate) const NO_PARENT: i32 = i32::MAX;

/// What kind of model it is: read first, since the rest depends on it.
#[derive(Deserialize)]
pub(crate) struct Head {
    pub(crate) learner: HeadLearner,
    pub(crate) version: Vec<u32>,
}

#[derive(Deserialize)]
pub(crate) struct HeadLearner {
    pub(crate) gradient_booster: Name,
    pub(crate) objective: Name,
    pub(crate) learner_model_param: LearnerModelParam,
}

#[derive(Deserialize)]
pub(crate) struct Name {
    pub(crate) name: String,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Model {
    pub(crate) learner: Learner,
    pub(crate) version: Vec<u32>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Learner {
    #[serde(default)]
    pub(crate) attributes: Attributes,
    #[serde(default)]
    pub(crate) feature_names: Vec<String>,
    #[serde(default)]
    pub(crate) feature_types: Vec<String>,
    pub(crate) gradient_booster: GradientBooster,
    pub(crate) learner_model_param: LearnerModelParam,
    pub(crate) objective: Objective,
}

#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Attributes {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) best_iteration: Option<String>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct LearnerModelParam {
    pub(crate) base_score: String,
    #[serde(default = "one")]
    pub(crate) boost_from_average: String,
    #[serde(default = "zero")]
    pub(crate) num_class: String,
    pub(crate) num_feature: String,
    #[serde(default = "one")]
    pub(crate) num_target: String,
}

fn zero() -> String {
    "0".to_owned()
}

fn one() -> String {
    "1".to_owned()
}

#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Objective {
    pub(crate) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reg_loss_param: Option<RegLossParam>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) quantile_loss_param: Option<QuantileLossParam>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pseudo_huber_param: Option<PseudoHuberParam>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct RegLossParam {
    pub(crate) scale_pos_weight: String,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct QuantileLossParam {
    pub(crate) quantile_alpha: String,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct PseudoHuberParam {
    pub(crate) huber_slope: String,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct GradientBooster {
    pub(crate) model: GbtreeModel,
    pub(crate) name: String,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct GbtreeModel {
    #[serde(default, skip_serializing)]
    pub(crate) cats: Option<Cats>,
    pub(crate) gbtree_model_param: GbtreeModelParam,
    #[serde(default)]
    pub(crate) iteration_indptr: Option<Vec<u32>>,
    pub(crate) tree_info: Vec<i32>,
    pub(crate) trees: Vec<TreeModel>,
}

/// How a data frame's categories were numbered.
#[derive(Deserialize)]
pub(crate) struct Cats {
    #[serde(default)]
    pub(crate) enc: Vec<IgnoredAny>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct GbtreeModelParam {
    #[serde(default = "one")]
    pub(crate) num_parallel_tree: String,
    pub(crate) num_trees: String,
}

/// One tree, an array for each property of its nodes.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct TreeModel {
    pub(crate) base_weights: Vec<f32>,
    #[serde(default)]
    pub(crate) categories: Vec<i32>,
    #[serde(default)]
    pub(crate) categories_nodes: Vec<i32>,
    #[serde(default)]
    pub(crate) categories_segments: Vec<i64>,
    #[serde(default)]
    pub(crate) categories_sizes: Vec<i64>,
    pub(crate) default_left: Vec<Flag>,
    pub(crate) id: i32,
    pub(crate) left_children: Vec<i32>,
    pub(crate) loss_changes: Vec<f32>,
    pub(crate) parents: Vec<i32>,
    pub(crate) right_children: Vec<i32>,
    /// The limit of a split, the answer of a leaf.
    pub(crate) split_conditions: Vec<f32>,
    pub(crate) split_indices: Vec<i64>,
    #[serde(default)]
    pub(crate) split_type: Vec<i32>,
    pub(crate) sum_hessian: Vec<f32>,
    pub(crate) tree_param: TreeParam,
}

#[derive(Default, Serialize, Deserialize)]
pub(crate) struct TreeParam {
    #[serde(default = "zero")]
    pub(crate) num_deleted: String,
    pub(crate) num_feature: String,
    pub(crate) num_nodes: String,
    #[serde(default = "one")]
    pub(crate) size_leaf_vector: String,
}

/// A truth value, written as 0 or 1 and read as `false` or `true` too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flag(pub(crate) bool);

impl Serialize for Flag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(u8::from(self.0))
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Word(bool),
            Number(u8),
        }
        Ok(Self(match Written::deserialize(deserializer)? {
            Written::Word(flag) => flag,
            Written::Number(flag) => flag != 0,
        }))
    }
}
