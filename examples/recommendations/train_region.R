# The model of recommender/factorisation.py, fitted in R to the users of one region: stars as mean + bias of the user + bias of
# the film + product of their factors, by alternating least squares with the same ridge. With the same first factors, both come
# to the same model (tests/examples/test_in_r.py); here they come from R's own random numbers, so the fits differ.

RANK <- 8
SWEEPS <- 10
BIAS_RIDGE <- 3

# Solves many small systems of equations at once, by Cholesky's method: every number of it is a vector over all systems, so
# there is no loop over users or films.
#
# gram: one column for each place of the lower triangle, which `place` numbers; moment: one column for each unknown.
solve_all <- function(gram, moment, place) {
  unknowns <- ncol(moment)
  root <- vector("list", ncol(gram))
  for (column in seq_len(unknowns)) {
    for (row in column:unknowns) {
      rest <- gram[, place[row, column]]
      for (before in seq_len(column - 1)) rest <- rest - root[[place[row, before]]] * root[[place[column, before]]]
      root[[place[row, column]]] <- if (row == column) sqrt(rest) else rest / root[[place[column, column]]]
    }
  }
  solution <- moment
  for (row in seq_len(unknowns)) {
    rest <- solution[, row]
    for (before in seq_len(row - 1)) rest <- rest - root[[place[row, before]]] * solution[, before]
    solution[, row] <- rest / root[[place[row, row]]]
  }
  for (row in rev(seq_len(unknowns))) {
    rest <- solution[, row]
    for (after in seq_len(unknowns - row) + row) rest <- rest - root[[place[after, row]]] * solution[, after]
    solution[, row] <- rest / root[[place[row, row]]]
  }
  solution
}

# One side's biases and factors, given the other side's in the rows of the ratings.
solve_side <- function(index, other, around_mean, alpha) {
  unknowns <- ncol(other)
  place <- matrix(0, unknowns, unknowns)
  lower <- lower.tri(place, diag = TRUE)
  place[lower] <- seq_len(sum(lower))
  features <- cbind(1, other[, -1, drop = FALSE])
  gram <- rowsum(features[, row(place)[lower]] * features[, col(place)[lower]], index)
  ridge <- c(BIAS_RIDGE, rep(alpha, unknowns - 1))
  gram[, diag(place)] <- sweep(gram[, diag(place)], 2, ridge, `+`)
  solve_all(gram, rowsum(features * (around_mean - other[, 1]), index), place)
}

# start: one row for each film in ascending order of their ids, one column for each factor.
fit <- function(ratings, alpha, start, sweeps = SWEEPS, on_sweep = function(fraction) NULL) {
  users <- sort(unique(ratings$user))
  films <- sort(unique(ratings$film))
  by_user <- match(ratings$user, users)
  by_film <- match(ratings$film, films)
  mean <- mean(ratings$stars)
  film_rows <- cbind(0, start)
  for (number in seq_len(sweeps)) {
    user_rows <- solve_side(by_user, film_rows[by_film, ], ratings$stars - mean, alpha)
    film_rows <- solve_side(by_film, user_rows[by_user, ], ratings$stars - mean, alpha)
    on_sweep(number / sweeps)
  }
  list(mean = mean, users = users, films = films, user_rows = user_rows, film_rows = film_rows)
}

# As Model.read_table() takes it: a row for the mean, one for each user, one for each film; the bias, then the factors.
as_table <- function(model) {
  rows <- rbind(c(model$mean, numeric(ncol(model$user_rows) - 1)), model$user_rows, model$film_rows)
  sides <- rep(c("mean", "user", "film"), c(1, length(model$users), length(model$films)))
  table <- data.frame(side = sides, id = c(0L, model$users, model$films), unname(rows))
  names(table)[-(1:2)] <- c("bias", paste0("factor", seq_len(ncol(rows) - 1)))
  table
}

main <- function() {
  columns <- c(user = "integer", film = "integer", stars = "numeric", region = "integer")
  ratings <- read.csv(meson$inputs$training, colClasses = columns)
  ratings <- ratings[ratings$region == as.integer(meson$inputs$region), ]
  set.seed(0)
  films <- length(unique(ratings$film))
  start <- matrix(rnorm(films * RANK, 0, 0.1), films)
  meson$artifact("model", as_table(fit(ratings, meson$inputs$alpha, start, on_sweep = meson$progress)))
}

# Not where a test takes it with source().
if (sys.nframe() == 0) main()
