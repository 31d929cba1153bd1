use nalgebra::allocator::Allocator;
use nalgebra::{DefaultAllocator, Dim, OMatrix, OVector};

/// Factors a positive semidefinite matrix as `L D Lᵀ`.
///
/// Directions without variance get a pivot of 0 and are left out of solutions, which is the right
/// answer where the right-hand side lies in the matrix's range, as it does in a smoother.
#[derive(Debug)]
pub(crate) struct Semidefinite<D: Dim>
where
    DefaultAllocator: Allocator<D> + Allocator<D, D>,
{
    lower: OMatrix<f64, D, D>,
    pivots: OVector<f64, D>,
}

impl<D: Dim> Semidefinite<D>
where
    DefaultAllocator: Allocator<D> + Allocator<D, D>,
{
    /// Factors; a pivot at or below `tolerance` times its diagonal counts as 0. `None` where the
    /// matrix is clearly not semidefinite, or not finite.
    pub(crate) fn factor(matrix: &OMatrix<f64, D, D>, tolerance: f64) -> Option<Self> {
        let (rows, columns) = matrix.shape_generic();
        let n = rows.value();
        let mut lower = OMatrix::<f64, D, D>::identity_generic(rows, columns);
        let mut pivots = OVector::<f64, D>::zeros_generic(rows, nalgebra::Const::<1>);
        for j in 0..n {
            let diagonal = matrix[(j, j)];
            let taken: f64 = (0..j).map(|k| lower[(j, k)] * lower[(j, k)] * pivots[k]).sum();
            let pivot = diagonal - taken;
            if !pivot.is_finite() || pivot < -1e-8 * diagonal.abs() {
                return None;
            }
            if pivot <= tolerance * diagonal {
                continue;
            }
            pivots[j] = pivot;
            for i in j + 1..n {
                let taken: f64 = (0..j).map(|k| lower[(i, k)] * lower[(j, k)] * pivots[k]).sum();
                lower[(i, j)] = (matrix[(i, j)] - taken) / pivot;
            }
        }
        Some(Self { lower, pivots })
    }

    /// Whether every pivot is positive.
    pub(crate) fn is_definite(&self) -> bool {
        self.pivots.iter().all(|&d| d > 0.0)
    }

    pub(crate) fn ln_determinant(&self) -> f64 {
        self.pivots.iter().map(|d| d.ln()).sum()
    }

    /// Replaces every column by the matrix's inverse times it.
    pub(crate) fn solve<C: Dim>(&self, columns: &mut OMatrix<f64, D, C>)
    where
        DefaultAllocator: Allocator<D, C>,
    {
        let n = self.pivots.len();
        for mut x in columns.column_iter_mut() {
            for i in 1..n {
                let taken: f64 = (0..i).map(|k| self.lower[(i, k)] * x[k]).sum();
                x[i] -= taken;
            }
            for i in (0..n).rev() {
                let pivot = self.pivots[i];
                let scaled = if pivot > 0.0 { x[i] / pivot } else { 0.0 };
                let taken: f64 = (i + 1..n).map(|k| self.lower[(k, i)] * x[k]).sum();
                x[i] = if pivot > 0.0 { scaled - taken } else { 0.0 };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::{Matrix3, Vector3};

    #[test]
    fn solutions_satisfy_the_equations() {
        let a = Matrix3::new(4.0, 2.0, 0.6, 2.0, 5.0, 1.0, 0.6, 1.0, 3.0);
        let mut x = Vector3::new(1.0, -2.0, 0.5);
        let factor = Semidefinite::factor(&a, 0.0).unwrap();
        assert!(factor.is_definite());
        assert!((factor.ln_determinant() - a.determinant().ln()).abs() < 1e-14);
        factor.solve(&mut x);
        assert!((a * x - Vector3::new(1.0, -2.0, 0.5)).norm() < 1e-14);
    }

    #[test]
    fn singular_systems_are_solved_in_their_range() {
        let v = Vector3::new(1.0, 2.0, -1.0);
        let a = v * v.transpose();
        let factor = Semidefinite::factor(&a, 1e-14).unwrap();
        assert!(!factor.is_definite());
        let wanted = a * Vector3::new(0.3, 0.1, 0.9);
        let mut x = wanted;
        factor.solve(&mut x);
        assert!((a * x - wanted).norm() < 1e-14);
    }

    #[test]
    fn indefinite_and_non_finite_matrices_are_refused() {
        let a = Matrix3::new(1.0, 2.0, 0.0, 2.0, 1.0, 0.0, 0.0, 0.0, 1.0);
        assert!(Semidefinite::factor(&a, 0.0).is_none());
        assert!(Semidefinite::factor(&(a * f64::NAN), 0.0).is_none());
    }
}
