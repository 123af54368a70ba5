//! Models as text, and what they predict.

use super::*;

/// Two trees over `a` and `b`: the first asks b, then a where b is small; the second is a leaf of 0.5.
const MODEL: &str = "tree
version=v4
num_class=1
num_tree_per_iteration=1
label_index=0
max_feature_idx=1
objective=regression
feature_names=a b
feature_infos=[0:1] [0:1]
tree_sizes=10 10

Tree=0
num_leaves=3
num_cat=0
split_feature=1 0
split_gain=1 1
threshold=10 -2.5
decision_type=2 0
left_child=1 -1
right_child=-2 -3
leaf_value=1 2 4
is_linear=0
shrinkage=1


Tree=1
num_leaves=1
num_cat=0
split_feature=
threshold=
leaf_value=0.5
is_linear=0
shrinkage=0.1


end of trees

parameters:
[num_leaves: 31]
";

fn with(old: &str, new: &str) -> Result<Model, ModelError> {
    assert!(MODEL.contains(old));
    Model::parse(&MODEL.replace(old, new))
}

#[test]
fn sums_the_leaves_that_a_row_falls_into() {
    let model = Model::parse(MODEL).unwrap();
    assert_eq!(model.features(), ["a", "b"]);
    assert_eq!(model.predict(&[0.0, 10.1]), 2.5);
    // A value on the threshold goes left.
    assert_eq!(model.predict(&[-2.5, 10.0]), 1.5);
    assert_eq!(model.predict(&[-2.4, 10.0]), 4.5);
}

#[test]
fn a_classifier_gives_a_probability() {
    let model = with("objective=regression", "objective=binary sigmoid:2").unwrap();
    assert_eq!(model.predict(&[0.0, 11.0]), 1.0 / (1.0 + (-5.0_f64).exp()));
}

#[test]
fn what_is_missing_goes_where_the_split_says() {
    let predict = |types: &str, row: &[f64]| {
        let types = format!("decision_type={types}");
        with("decision_type=2 0", &types).unwrap().predict(row)
    };
    // Nothing is missing: not-a-number counts as zero, and so does a feature that is not there.
    assert_eq!(predict("2 0", &[f64::NAN, f64::NAN]), 4.5);
    assert_eq!(predict("2 0", &[]), 4.5);
    // Not-a-number is missing and goes right, or left; zero is not missing.
    assert_eq!(predict("8 8", &[0.0, f64::NAN]), 2.5);
    assert_eq!(predict("10 10", &[f64::NAN, f64::NAN]), 1.5);
    assert_eq!(predict("10 10", &[0.0, f64::NAN]), 4.5);
    // Zero is missing, and so is not-a-number.
    assert_eq!(predict("4 6", &[0.0, 1.0]), 1.5);
    assert_eq!(predict("4 6", &[0.0, 0.0]), 2.5);
    assert_eq!(predict("4 6", &[0.0, f64::NAN]), 2.5);
}

#[test]
fn damaged_models_are_refused_with_the_place() {
    let wrong = |old: &str, new: &str, expected: &str| {
        let error = with(old, new).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    wrong("tree\n", "forest\n", "not a LightGBM model");
    wrong("end of trees", "", "cut off");
    wrong("leaf_value=1 2 4", "leaf_value=1 2", "leaf_value in tree 0");
    wrong(
        "leaf_value=1 2 4",
        "leaf_value=1 2 inf",
        "leaf_value in tree 0",
    );
    wrong("leaf_value=0.5", "", "lacks the field leaf_value in tree 1");
    wrong("threshold=10 -2.5", "threshold=10 x", "threshold in tree 0");
    wrong(
        "threshold=10 -2.5",
        "threshold=10 nan",
        "threshold in tree 0",
    );
    wrong(
        "split_feature=1 0",
        "split_feature=1 2",
        "split_feature in tree 0",
    );
    wrong(
        "decision_type=2 0",
        "decision_type=2 12",
        "decision_type in tree 0",
    );
    wrong(
        "max_feature_idx=1",
        "max_feature_idx=3",
        "feature_names in its head",
    );
    wrong(
        "objective=regression",
        "objective=binary",
        "objective in its head",
    );
    // A split that is its own child, one that is not there, a leaf that is not there.
    wrong("left_child=1 -1", "left_child=0 -1", "left_child in tree 0");
    wrong("left_child=1 -1", "left_child=2 -1", "left_child in tree 0");
    wrong(
        "right_child=-2 -3",
        "right_child=-2 -4",
        "right_child in tree 0",
    );
    wrong(
        "right_child=-2 -3",
        "right_child=-2 -2147483648",
        "right_child in tree 0",
    );
}

#[test]
fn what_is_not_supported_is_said() {
    let unsupported = |old: &str, new: &str| {
        let error = with(old, new).unwrap_err();
        assert!(matches!(error, ModelError::Unsupported(_)), "{error}");
    };
    unsupported("decision_type=2 0", "decision_type=2 1");
    unsupported("num_cat=0\nsplit_feature=1", "num_cat=1\nsplit_feature=1");
    unsupported("is_linear=0", "is_linear=1");
    unsupported("num_tree_per_iteration=1", "num_tree_per_iteration=3");
    unsupported("objective=regression", "objective=poisson");
    unsupported("objective=regression", "objective=regression sqrt");
    unsupported("label_index=0", "average_output");
}

#[test]
fn a_prediction_allocates_nothing() {
    let model = Model::parse(MODEL).unwrap();
    let allocated = allocation_counter::measure(|| {
        model.predict(&[0.0, 10.1]);
    });
    assert_eq!(allocated.count_total, 0);
}

#[test]
fn a_scale_goes_there_and_back() {
    let scaler = Scaler {
        scale: 0.5,
        min: -0.25,
    };
    assert_eq!(scaler.transform(2.0), 0.75);
    assert_eq!(scaler.inverse(0.75), 2.0);
}
