//! The words in pictures, in each language.

/// The language of labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Language {
    /// English.
    #[default]
    English,
    /// Korean.
    Korean,
}

macro_rules! words {
    ($($Word:ident: $english:literal, $korean:literal;)*) => {
        /// A word or a phrase that pictures and reports write.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Word {
            $($Word),*
        }

        impl Word {
            pub(crate) const ALL: &[Self] = &[$(Self::$Word),*];

            pub(crate) fn of(self, language: Language) -> &'static str {
                match language {
                    Language::English => match self { $(Self::$Word => $english),* },
                    Language::Korean => match self { $(Self::$Word => $korean),* },
                }
            }
        }
    };
}

/// The name of a metric, translated if it is one of the words here.
pub(crate) fn named(name: &str, language: Language) -> String {
    let known = Word::ALL.iter().find(|word| word.of(Language::English) == name);
    known.map_or(name, |word| word.of(language)).to_owned()
}

words! {
    Accuracy: "accuracy", "정확도";
    AreaUnderRoc: "area under the ROC curve", "ROC 곡선 아래 면적";
    AboutConfusion: "Each row is a true class, and each column the class that it was taken for. The stronger the colour \
                     of a cell, the larger its share of the true class.",
                    "행은 참 클래스이고 열은 예측한 클래스이다. 칸의 색이 강할수록 참 클래스에서 차지하는 비율이 크다.";
    AboutHistory: "The loss by epoch, of the examples that were learnt from and of those held back, if there were any: from \
                   where the two part, the network learns by heart.",
                  "에포크별 손실. 따로 떼어 둔 예제가 있으면 그 손실도 있다. 둘이 벌어지는 곳부터 신경망은 외우고 있다.";
    AboutNetwork: "The layers from the input down to the output, each with the shape of its output and the number of its \
                   parameters.",
                  "입력에서 출력까지의 층. 각 층에 출력의 형태와 매개변수의 개수를 적었다.";
    AboutPrecisionRecall: "How many of those taken for a class belong to it, over how many of the class are found. Who \
                           guesses is on the dotted line.",
                          "재현율에 따른 정밀도. 점선은 무작위로 예측했을 때이다.";
    AboutPredicted: "A point for each row: the nearer to the diagonal, the better.",
                    "점 하나가 한 행이다. 대각선에 가까울수록 좋다.";
    AboutReliability: "How often predictions came true over how probable they were said to be: on the diagonal, \
                       probabilities are what they say. Below, how many predictions there are.",
                      "예측 확률에 따라 실제로 참인 비율. 대각선 위에 있으면 확률을 믿을 수 있다. 아래는 예측의 개수이다.";
    AboutResiduals: "How far predictions are off over what was predicted. A pattern is something that the network has not \
                     learnt.",
                    "예측값에 따른 잔차. 잔차에 규칙이 보이면 신경망이 아직 배우지 못한 것이 있다.";
    AboutRoc: "The share of a class that is found over the share of the others that is taken for it, at each threshold. AUC \
               is the area below.",
              "문턱값에 따른 참 양성률과 거짓 양성률. AUC는 곡선 아래의 면적이다.";
    AboutWeights: "The share of each layer's parameters by their value.",
                  "층마다 매개변수가 값에 따라 분포한 비율.";
    Activations: "activations", "활성값";
    AveragePrecision: "average precision", "평균 정밀도";
    BackwardGradients: "backward: gradients", "역전파: 기울기";
    BestEpoch: "best epoch", "최적 에포크";
    Chance: "chance", "무작위";
    Class: "class", "클래스";
    CalibrationError: "expected calibration error", "기대 보정 오차";
    ConfusionMatrix: "confusion matrix", "혼동 행렬";
    Count: "count", "개수";
    Decision: "decision regions", "결정 영역";
    Density: "share", "비율";
    DescentPaths: "descent paths", "하강 경로";
    Diagram: "diagram", "도식";
    Direction: "direction", "방향";
    EachBatch: "each batch", "배치별";
    End: "end", "끝";
    Epoch: "epoch", "에포크";
    FalsePositiveRate: "false positive rate", "거짓 양성률";
    FirstLayer: "filters of the first layer", "첫째 층의 필터";
    ForwardValues: "forward: values", "순전파: 값";
    Frequency: "share that came true", "실제로 참인 비율";
    Gradient: "gradient", "기울기";
    GradientFlow: "gradient norm by layer", "층별 기울기 크기";
    GradientNorm: "norm of the gradient", "기울기의 노름";
    History: "training history", "학습 기록";
    Input: "input", "입력";
    Layer: "layer", "층";
    LearningRate: "learning rate", "학습률";
    LearningRateFinder: "learning-rate finder", "학습률 탐색";
    LogLoss: "log loss", "로그 손실";
    Loss: "loss", "손실";
    LossLandscape: "loss landscape", "손실 지형";
    MeanAbsoluteError: "mean absolute error", "평균 절대 오차";
    Measure: "measure", "지표";
    Minimum: "minimum", "최솟값";
    Network: "network", "신경망";
    Norm: "norm", "노름";
    Notes: "notes", "메모";
    NotNumbers: "not numbers", "숫자가 아님";
    Parameters: "parameters", "매개변수";
    Passes: "forward and backward pass", "순전파와 역전파";
    Perfect: "perfect", "완벽";
    Precision: "precision", "정밀도";
    PrecisionRecall: "precision and recall", "정밀도와 재현율";
    Predicted: "predicted", "예측";
    PredictedClass: "predicted class", "예측한 클래스";
    PredictedProbability: "predicted probability", "예측 확률";
    PredictedTrue: "predicted against true", "예측값과 참값";
    PrincipalDirection: "principal direction", "주성분 방향";
    Recall: "recall", "재현율";
    ReportOn: "Report on", "보고서:";
    Reliability: "reliability", "신뢰도";
    Residual: "residual: predicted − true", "잔차: 예측 − 참";
    Residuals: "residuals", "잔차";
    Roc: "ROC curve", "ROC 곡선";
    RootMeanSquaredError: "root mean squared error", "평균 제곱근 오차";
    RSquared: "R², the share of the variance that is explained", "결정 계수 R²";
    Rows: "rows", "행";
    Run: "run", "실행";
    Smoothed: "smoothed", "평활";
    Start: "start", "시작";
    Steepest: "steepest fall", "가장 가파른 하강";
    Step: "step", "단계";
    TenthOfLeast: "a tenth of the least loss's", "최소 손실 학습률의 1/10";
    Training: "training", "훈련";
    True: "true", "참";
    TrueClass: "true class", "참 클래스";
    TruePositiveRate: "true positive rate", "참 양성률";
    Validation: "validation", "검증";
    Value: "value", "값";
    Weights: "weights", "가중치";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_written_in_each_language() {
        let is_hangul = |c: char| ('가'..='힣').contains(&c);
        for word in Word::ALL {
            let (english, korean) = (word.of(Language::English), word.of(Language::Korean));
            assert!(!english.is_empty() && !english.contains(is_hangul), "{english}");
            assert!(korean.contains(is_hangul), "{korean} for {english}");
        }
        assert_eq!(named("accuracy", Language::Korean), "정확도");
        assert_eq!(named("a user's own", Language::Korean), "a user's own");
    }
}
