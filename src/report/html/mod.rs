//! The page: statistics as HTML and SVG.

pub mod chart;
pub mod markup;
pub mod number_text;
pub mod overview;
pub mod page;
pub mod problem_sections;
pub mod question_sections;
pub mod score_sections;
pub mod table_view;
pub mod task_sections;
pub mod text_sections;
pub mod week_chart;
