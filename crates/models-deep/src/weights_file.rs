use forecastle_core::{Error, Result};
use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value, json};

use crate::layout::Layout;

/// Our own entry in a file's metadata.
const ENTRY: &str = "forecastle";

/// Writes weights as a safetensors file under the names of their layout.
///
/// The header is written here and not by the library, which would order the metadata by chance.
///
/// - `description`: what else a model is made of, kept in the metadata
pub(crate) fn write(
    layout: &Layout,
    weights: &[f32],
    description: Option<String>,
) -> Result<Vec<u8>> {
    let mut metadata = Map::new();
    metadata.insert("format".into(), "pt".into());
    if let Some(description) = description {
        metadata.insert(ENTRY.into(), description.into());
    }
    let mut header = Map::new();
    header.insert("__metadata__".into(), Value::Object(metadata));
    for parameter in layout.parameters() {
        let (start, end) = (4 * parameter.range.start, 4 * parameter.range.end);
        let about = json!({"dtype": "F32", "shape": parameter.shape, "data_offsets": [start, end]});
        header.insert(parameter.name.clone(), about);
    }
    let header = serde_json::to_string(&header).map_err(|e| Error::artifact(e.to_string()))?;
    // Numbers begin at a multiple of 8, as the format's own writers see to.
    let length = header.len().next_multiple_of(8);
    let mut bytes = Vec::with_capacity(8 + length + 4 * weights.len());
    bytes.extend_from_slice(&(length as u64).to_le_bytes());
    bytes.extend_from_slice(header.as_bytes());
    bytes.resize(8 + length, b' ');
    bytes.extend(weights.iter().flat_map(|w| w.to_le_bytes()));
    Ok(bytes)
}

/// Reads weights: exactly the layout's tensors, in `f32`, all finite.
///
/// # Errors
/// - [`Error::Artifact`], naming the tensor.
pub(crate) fn read(layout: &Layout, bytes: &[u8]) -> Result<Vec<f32>> {
    let file = SafeTensors::deserialize(bytes).map_err(malformed)?;
    let mut names: Vec<&str> = file.names();
    names.sort_unstable();
    let known = |name: &str| layout.parameters().iter().any(|p| p.name == name);
    if let Some(extra) = names.iter().find(|name| !known(name)) {
        let shown: String = extra.chars().take(64).collect();
        return Err(Error::artifact(format!("this model has no weights {shown:?}")));
    }
    if let Some(missing) =
        layout.parameters().iter().find(|p| names.binary_search(&p.name.as_str()).is_err())
    {
        return Err(Error::artifact(format!("it lacks the weights {:?}", missing.name)));
    }
    let mut weights = Vec::with_capacity(bytes.len() / 4);
    for parameter in layout.parameters() {
        let tensor = file.tensor(&parameter.name).map_err(malformed)?;
        let name = &parameter.name;
        if tensor.dtype() != Dtype::F32 {
            let found = tensor.dtype();
            return Err(Error::artifact(format!("{name:?} holds {found:?} instead of F32")));
        }
        if tensor.shape() != parameter.shape {
            let (found, wanted) = (tensor.shape(), &parameter.shape);
            let reason = format!("{name:?} has shape {found:?} instead of {wanted:?}");
            return Err(Error::artifact(reason));
        }
        let (numbers, _) = tensor.data().as_chunks::<4>();
        weights.extend(numbers.iter().map(|&bytes| f32::from_le_bytes(bytes)));
    }
    layout.check(&weights)?;
    Ok(weights)
}

/// Reads what [`write`] was given as a description.
///
/// # Errors
/// - [`Error::Artifact`] when the file is malformed or was written by others.
pub(crate) fn description(bytes: &[u8]) -> Result<String> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(malformed)?;
    let entry = header.metadata().as_ref().and_then(|metadata| metadata.get(ENTRY));
    entry.cloned().ok_or_else(|| {
        Error::artifact("it holds weights only; give them to a model by `with_weights`")
    })
}

fn malformed(error: safetensors::SafeTensorError) -> Error {
    Error::artifact(format!("not a safetensors file: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Init;

    fn layout() -> Layout {
        let mut layout = Layout::default();
        layout.add("b.weight", &[2, 3], Init::Normal(1.0));
        layout.add("a.bias", &[2], Init::Normal(1.0));
        layout
    }

    #[test]
    fn weights_come_back_bit_for_bit_and_the_file_is_always_the_same() {
        let weights = layout().draw(1);
        let bytes = write(&layout(), &weights, Some("{\"x\": 1}".into())).unwrap();
        assert_eq!(bytes, write(&layout(), &weights, Some("{\"x\": 1}".into())).unwrap());
        assert_eq!(read(&layout(), &bytes).unwrap(), weights);
        assert_eq!(description(&bytes).unwrap(), "{\"x\": 1}");
        let bare = write(&layout(), &weights, None).unwrap();
        assert!(description(&bare).is_err());
    }

    #[test]
    fn foreign_weights_are_refused_by_name() {
        let refused = |other: &Layout, part: &str| {
            let bytes = write(other, &vec![0.0; other.len()], None).unwrap();
            let message = read(&layout(), &bytes).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        };
        let mut other = layout();
        other.add("c.weight", &[1], Init::Constant(0.0));
        refused(&other, "c.weight");
        let mut other = Layout::default();
        other.add("b.weight", &[2, 3], Init::Constant(0.0));
        refused(&other, "a.bias");
        other.add("a.bias", &[1, 2], Init::Constant(0.0));
        refused(&other, "shape [1, 2] instead of [2]");
        let mut weights = layout().draw(1);
        weights[7] = f32::INFINITY;
        let bytes = write(&layout(), &weights, None).unwrap();
        let message = read(&layout(), &bytes).unwrap_err().to_string();
        assert!(message.contains("a.bias"), "{message}");
        let doubles: Vec<u8> = vec![0; 8];
        let view = safetensors::tensor::TensorView::new(Dtype::F16, vec![2, 2], &doubles).unwrap();
        let bytes = safetensors::serialize([("b.weight", view.clone()), ("a.bias", view)], None);
        let message = read(&layout(), &bytes.unwrap()).unwrap_err().to_string();
        assert!(message.contains("F16"), "{message}");
    }
}
