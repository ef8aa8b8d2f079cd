# Owns what an R script sees of Meson, `meson` on the search path, and how the script of a step is run and its errors told.
#
#     meson$inputs                       inputs by name: numbers, text, truth values, vectors, lists; an artifact is the
#                                        path of a local file
#     meson$output(name, value)          an output, of its declared type
#     meson$artifact(name, path)         a file, a folder or a data frame, as an output that is declared as artifact
#     meson$progress(fraction, message)  how far it is, 0 to 1, and a line for people; either may be left out
#     meson$emit(name, value)            a fact for people and followers
#     meson$link(name, url)              something to click at
#     meson$messages()                   what was sent to this attempt since the last call: lists of name and value
#     meson$project, $work, $scratch     folders: of the project's files, of this attempt, of the run
#     meson$run, $step, $job_key         who it is
#
# Base R (3.6 or newer) and jsonlite are all that it needs. Without a step around it (`source("meson.R")` at a prompt)
# there are no inputs, and outputs are printed.

local({
  ours <- environment()
  process <- Sys.getpid()
  exact <- 2^53  # up to here, a double tells every whole number from the next one

  variable <- function(name) {
    value <- Sys.getenv(name, NA_character_)
    if (is.na(value)) NULL else value
  }

  # --- whose words an error has ---------------------------------------------------------------------------------------

  # Where among the calls the helper begins: what is behind that is no concern of the script's author. A function of
  # `meson` says that it has `entered` once it has its arguments (named alone, for force() would be among the calls): what
  # is called for those is the author's own.
  helper_at <- function() {
    for (index in seq_len(sys.nframe() - 1)) {
      own <- identical(environment(sys.function(index)), ours)
      if (own && exists("entered", sys.frame(index), inherits = FALSE)) return(index)
    }
    NULL
  }

  # A call as its author wrote it: `$.meson_inputs`(meson$inputs, x) is meson$inputs$x.
  as_written <- function(call) {
    name <- if (is.symbol(call[[1]])) as.character(call[[1]]) else ""
    if (grepl("[.]meson_inputs$", name)) call[[1]] <- as.name(sub("[.]meson_inputs$", "", name))
    call
  }

  # An error of the call of `meson$...` that the author wrote, not of what that calls.
  refuse <- function(...) {
    at <- helper_at()
    stop(simpleError(paste0(...), if (is.null(at)) NULL else as_written(sys.call(at))))
  }

  # --- values to JSON -------------------------------------------------------------------------------------------------

  json_text <- function(x) {
    bad <- !validEnc(x)
    if (any(bad)) refuse("text that is not valid UTF-8: ", encodeString(x[bad][1]))
    x <- enc2utf8(x)
    x <- gsub("\\", "\\\\", x, fixed = TRUE)
    x <- gsub("\"", "\\\"", x, fixed = TRUE)
    for (code in if (any(grepl("[\001-\037]", x))) 1:31) {
      x <- gsub(intToUtf8(code), sprintf("\\u%04x", code), x, fixed = TRUE)
    }
    paste0("\"", x, "\"")
  }

  # 17 digits are always enough, and whoever reads them finds the shortest spelling again.
  json_number <- function(x, type) {
    whole <- x == trunc(x)
    text <- ifelse(whole & abs(x) <= exact, sprintf("%.0f", x), sprintf("%.17g", x))
    bare <- !grepl("[.e]", text) & (type == "float" | abs(x) > exact)
    paste0(text, ifelse(bare, ".0", ""))
  }

  # 64-bit integers of the package bit64 are not the doubles that they look like; jsonlite can read them without it.
  is_integer64 <- function(x) inherits(x, "integer64")
  json_integer64 <- function(x) strsplit(gsub("[][]", "", jsonlite::toJSON(unname(x), na = "null")), ",", fixed = TRUE)[[1]]
  bare <- function(x) if (is_integer64(x)) unname(x) else as.vector(x)

  json_object <- function(names, values) paste0("{", paste0(json_text(names), ":", values, collapse = ","), "}")
  json_array <- function(values) paste0("[", paste(values, collapse = ","), "]")

  # A type is `float`, `list[dict[float]]`; a bare `list` has items of any type.
  type_name <- function(type) sub("\\[.*$", "", type)
  type_item <- function(type) if (grepl("[", type, fixed = TRUE)) sub("^[a-z ]+\\[(.*)\\]$", "\\1", type) else "any"

  kind_of <- function(x) {
    if (is.logical(x)) "bool" else if (is.numeric(x) || is_integer64(x)) "number" else "str"
  }

  # Each element of an atomic vector as JSON of a scalar type.
  elements <- function(x, type, at) {
    if (length(x) == 0) return(character(0))
    where <- function(index) if (length(x) == 1) at else paste0(at, "[", index, "]")
    kind <- kind_of(x)
    whole <- if (is_integer64(x)) json_integer64(x)
    missing <- if (is.null(whole)) is.na(x) & !is.nan(x) else whole %in% c("null", "NA")
    if (any(missing) && type != "any") {
      refuse(where(which(missing)[1]), " is NA, and ", type, " has no NA: declare `any` or `list`, where it is null")
    }
    wanted <- switch(type, any = kind, bool = "bool", int = , float = "number", str = "str")
    if (kind != wanted) {
      refuse(where(1), ": expected ", type, ", got ", if (kind == "number") "the number" else kind, " ", shown(x[1]))
    }
    text <- rep("null", length(x))
    there <- which(!missing)
    if (!is.null(whole)) {
      text[there] <- whole[there]
    } else if (kind == "number") {
      endless <- which(!is.finite(x) & !missing)
      if (length(endless)) refuse(where(endless[1]), " is ", x[endless[1]], ", and JSON has no such number")
      if (type == "int") {
        broken <- there[x[there] != trunc(x[there])]
        if (length(broken)) refuse(where(broken[1]), ": expected int, got ", shown(x[broken[1]]))
        inexact <- there[abs(x[there]) > exact]
        if (length(inexact)) {
          refuse(where(inexact[1]), " is beyond 2^53, where doubles skip whole numbers: declare it as float, or as str")
        }
      }
      text[there] <- json_number(as.numeric(x[there]), type)
    } else {
      text[there] <- if (kind == "bool") ifelse(x[there], "true", "false") else json_text(x[there])
    }
    text
  }

  shown <- function(x) {
    text <- paste(deparse(x, nlines = 1L, width.cutoff = 60L), collapse = " ")
    if (nchar(text) > 60) paste0(substr(text, 1, 59), "...") else text
  }

  # Factors are their labels, times ISO 8601, durations seconds, one-dimensional arrays (table()) named vectors.
  plain <- function(x, at) {
    if (is.factor(x)) return(stats::setNames(as.character(x), names(x)))
    if (inherits(x, "Date")) return(stats::setNames(format(x, "%Y-%m-%d"), names(x)))
    if (inherits(x, "POSIXt")) {
      moment <- as.POSIXct(x)
      digits <- if (any(as.numeric(moment) %% 1 != 0, na.rm = TRUE)) "%Y-%m-%dT%H:%M:%OS6Z" else "%Y-%m-%dT%H:%M:%SZ"
      return(stats::setNames(format(moment, digits, tz = "UTC"), names(moment)))
    }
    if (inherits(x, "difftime")) return(stats::setNames(as.numeric(x, units = "secs"), names(x)))
    if (length(dim(x)) == 1) return(stats::setNames(as.vector(x), names(x)))
    if (length(dim(x)) > 2) refuse(at, " is an array of ", length(dim(x)), " dimensions: give it as lists, or as a file")
    good <- is.null(x) || is.list(x) || is.logical(x) || is.numeric(x) || is.character(x) || is_integer64(x)
    if (!good || isS4(x)) {
      refuse(at, " is of class ", class(x)[1], ", which is not JSON: saveRDS() it, and give the file to meson$artifact()")
    }
    x
  }

  rows_of <- function(x) {
    if (!is.data.frame(x)) return(lapply(seq_len(nrow(x)), function(row) I(unname(x[row, ]))))
    columns <- lapply(x, function(column) if (is.list(column)) column else plain(column, "a column"))
    lapply(seq_len(nrow(x)), function(row) lapply(columns, function(column) column[[row]]))
  }

  named <- function(x) !is.null(names(x))

  check_names <- function(x, at) {
    given <- names(x)
    if (length(x) && (is.null(given) || anyNA(given) || any(given == ""))) refuse(at, " is a dict, and not all of it has names")
    if (anyDuplicated(given)) refuse(at, " has the name ", shown(given[duplicated(given)][1]), " twice")
  }

  json_list <- function(x, item, at) {
    if (is.data.frame(x) || length(dim(x)) == 2) x <- rows_of(x)
    scalar <- item %in% c("any", "bool", "int", "float", "str")
    if (!is.list(x) && scalar) return(json_array(elements(bare(x), item, at)))
    x <- unname(as.list(x))
    json_array(vapply(seq_along(x), function(i) json(x[[i]], item, paste0(at, "[", i, "]")), ""))
  }

  json_dict <- function(x, item, at) {
    check_names(x, at)
    if (length(x) == 0) return("{}")
    # A column is a list, of however many rows.
    if (is.data.frame(x) && item == "any") item <- "list"
    keys <- names(x)
    values <- if (is.data.frame(x)) as.list.data.frame(x) else as.list(x)
    json_object(keys, vapply(seq_along(keys), function(i) json(values[[i]], item, paste0(at, "$", keys[i])), ""))
  }

  # What nothing was declared for: a vector of one is a scalar, unless it is I(); a vector with names is a dict.
  json_any <- function(x, at) {
    if (is.null(x)) return("null")
    if (is.data.frame(x) || length(dim(x)) == 2) return(json_list(x, "any", at))
    if (named(x)) return(json_dict(x, "any", at))
    if (!is.list(x) && length(x) == 1 && !inherits(x, "AsIs")) return(elements(x, "any", at))
    json_list(x, "any", at)
  }

  json <- function(x, type, at) {
    type <- trimws(type)
    name <- type_name(type)
    if (name == "artifact") return(json_text(file_of(x, at)))
    x <- plain(x, at)
    if (name == "any") return(json_any(x, at))
    if (name == "list") return(json_list(x, type_item(type), at))
    if (name == "dict") return(json_dict(x, type_item(type), at))
    if (is.list(x) || length(x) != 1) {
      got <- if (is.null(x)) "NULL" else if (is.data.frame(x)) "a data frame" else if (is.list(x)) "a list" else paste(length(x), "values")
      refuse(at, ": expected ", type, ", got ", got)
    }
    elements(bare(x), name, at)
  }

  # A table as CSV in UTF-8: R writes text that it takes for the locale's own as it is.
  write_table <- function(x, path, at) {
    nested <- vapply(x, is.list, TRUE)
    if (any(nested)) refuse(at, ": the column ", names(x)[nested][1], " is a list, and a table has room for values only")
    as_bytes <- function(text) `Encoding<-`(enc2utf8(text), "unknown")
    text <- vapply(x, function(column) is.character(column) || is.factor(column), TRUE)
    x[text] <- lapply(x[text], function(column) as_bytes(as.character(column)))
    names(x) <- as_bytes(names(x))
    utils::write.csv(x, path, row.names = FALSE, na = "")
  }

  # An artifact is the path of a file or folder; a data frame is written to a file, as CSV.
  file_of <- function(x, at) {
    if (is.data.frame(x)) {
      folder <- tempfile("table-", tmpdir = file.path(work, "meson"))
      dir.create(folder, recursive = TRUE)
      path <- file.path(folder, paste0(gsub("[^A-Za-z0-9._-]", "_", at), ".csv"))
      write_table(x, path, at)
      return(path)
    }
    if (!is.character(x) || length(x) != 1 || is.na(x)) {
      refuse(at, ": expected artifact, which is a path or a data frame, got ", shown(x))
    }
    if (!file.exists(x)) refuse(at, ": there is no file or folder ", shown(x), " in ", getwd())
    normalizePath(x)
  }

  # --- JSON to values -------------------------------------------------------------------------------------------------

  # A JSON list of numbers (or of text, or of truth values) is a vector, null in it NA; any other stays a list. What is
  # beyond 2^53 arrives as text, with all its digits.
  value_of <- function(x) {
    if (!is.list(x)) return(x)
    if (named(x)) return(lapply(x, value_of))
    if (length(x) == 0) return(logical(0))
    kinds <- unique(vapply(x, function(part) if (is.null(part)) "null" else if (is.list(part)) "list" else kind_of(part), ""))
    kinds <- setdiff(kinds, "null")
    if (length(kinds) > 1 || identical(kinds, "list")) return(lapply(x, value_of))
    unlist(lapply(x, function(part) if (is.null(part)) NA else part))
  }

  read_json <- function(text) {
    if (grepl("(?<!\\\\)(\\\\\\\\)*\\\\u0000", text, perl = TRUE)) {
      refuse("an input has a NUL character in its text, which R has no room for")
    }
    value_of(jsonlite::parse_json(text, simplifyVector = FALSE, bigint_as_char = TRUE))
  }

  read_text <- function(path) {
    text <- readChar(path, file.info(path)$size, useBytes = TRUE)
    Encoding(text) <- "UTF-8"
    text
  }

  from_file <- function(name) {
    path <- variable(name)
    if (is.null(path)) list() else read_json(read_text(path))
  }

  known <- function(what, name, names) {
    if (is.character(name) && length(name) == 1 && name %in% names) return(name)
    near <- names[utils::adist(name, names, ignore.case = TRUE) < min(3, nchar(name))]
    told <- if (length(near)) paste0("did you mean ", near[1], "?") else paste0("there are: ", paste(names, collapse = ", "))
    refuse("there is no ", what, " ", shown(name), if (length(names)) paste0("; ", told))
  }

  # A misspelt input must not be NULL, as it is in a list, nor another one that begins alike.
  pick <- function(x, name) {
    entered <- TRUE
    if (is.character(name)) known("input", name, names(x))
    unclass(x)[[name]]
  }
  registerS3method("$", "meson_inputs", pick, envir = baseenv())
  registerS3method("[[", "meson_inputs", pick, envir = baseenv())
  registerS3method("print", "meson_inputs", function(x, ...) invisible(utils::str(unclass(x), give.attr = FALSE)), envir = baseenv())

  # --- what the script calls ------------------------------------------------------------------------------------------

  output <- function(name, value) {
    name; value; entered <- TRUE
    if (Sys.getpid() != process) refuse("an output can only be given by the script itself, not by a process that it forked")
    if (!is.character(name) || length(name) != 1 || is.na(name) || name == "") refuse("the name of an output is text, got ", shown(name))
    declared <- names(types)
    type <- if (length(types)) types[[known("output", name, declared)]] else "any"
    outputs[[name]] <<- json(value, type, name)
    path <- variable("MESON_OUTPUTS")
    if (is.null(path)) cat(name, "=", outputs[[name]], "\n") else write(json_object(names(outputs), unlist(outputs)), path, "wb")
    invisible(value)
  }

  artifact <- function(name, path) {
    name; path; entered <- TRUE
    type <- if (is.character(name) && length(name) == 1) types[[name]]
    if (is.null(variable("MESON_OUTPUTS"))) return(invisible(cat(name, "=", file_of(path, name), "\n")))
    if (is.null(type)) known("output", name, names(types))
    if (is.null(type) || !grepl("artifact", type, fixed = TRUE)) {
      refuse("output ", name, " is declared as ", if (is.null(type)) "nothing" else type, ", not as artifact")
    }
    output(name, path)
  }

  # As bytes: cat() writes what the locale has no letters for as <U+00F6>.
  write <- function(text, path, mode) {
    file <- file(path, mode)
    on.exit(close(file))
    writeBin(charToRaw(enc2utf8(text)), file)
  }

  report <- function(...) {
    line <- json_object(names(c(...)), c(...))
    path <- variable("MESON_PROGRESS")
    if (is.null(path)) cat(line, "\n") else write(paste0(line, "\n"), path, "ab")
    invisible(NULL)
  }

  progress <- function(fraction = NULL, message = NULL) {
    fraction; message; entered <- TRUE
    if (is.character(fraction) && is.null(message)) return(progress(message = fraction))
    told <- character(0)
    # A progress that makes no sense is no reason to fail a step.
    if (is.numeric(fraction) && length(fraction) == 1 && is.finite(fraction)) told["progress"] <- json_number(fraction, "float")
    if (!is.null(message)) told["message"] <- json_text(paste(message, collapse = " "))
    if (length(told)) report(told)
    invisible(NULL)
  }

  emit <- function(name, value) {
    name; value; entered <- TRUE
    report(emit = json_text(name), value = json(value, "any", name))
  }

  link <- function(name, url) {
    name; url; entered <- TRUE
    report(link = json_text(name), url = json_text(url))
  }

  messages <- function() {
    path <- variable("MESON_MESSAGES")
    if (is.null(path) || !file.exists(path)) return(list())
    all <- readLines(path, encoding = "UTF-8", warn = FALSE)
    new <- all[seq_along(all) > heard]
    heard <<- length(all)
    lapply(new, read_json)
  }

  # --- running a script -----------------------------------------------------------------------------------------------

  # The script is evaluated by the loop at the end of this file, at top level: each of its expressions is made a promise,
  # which the loop forces. So there is no frame of ours below the script's own, an error at its top level is "Error: ...",
  # and `sys.nframe() == 0` holds there, as with Rscript itself; and yet its calls know the lines that they stand in.

  read_script <- function(path, name) {
    if (!file.exists(path)) fail(paste0("there is no file ", name, " in the project"), NULL, "exception")
    lines <- sub("^\ufeff", "", readLines(path, encoding = "UTF-8", warn = FALSE))
    code <<- tryCatch(
      parse(text = lines, srcfile = srcfilecopy(name, lines), keep.source = TRUE, encoding = "UTF-8"),
      error = function(problem) {
        message(conditionMessage(problem))
        told <- strsplit(conditionMessage(problem), "\n", fixed = TRUE)[[1]]
        fail(paste("Error in", told[1]), told[-1], "exception")
      }
    )
    places <<- attr(code, "srcref")
  }

  # Show what the last expression came to, as Rscript would, and make the next one ready; FALSE: there is none.
  advance <- function() {
    visible <- isTRUE(attached$.meson_value$visible)
    x <- attached$.meson_value$value
    attached$.meson_value <<- NULL
    if (visible) if (isS4(x)) methods::show(x) else print(x)
    at <<- at + 1
    if (at > length(code)) return(FALSE)
    do.call(delayedAssign, list(".meson_next", code[[at]], globalenv(), attached))
    TRUE
  }

  # Called by R when nobody has handled an error, with all calls still there.
  on_error <- function() {
    calls <- as.list(sys.calls())[seq_len(sys.nframe() - 1)]
    end <- helper_at()
    if (!is.null(end) && end <= length(calls)) {
      calls <- calls[seq_len(end)]
      calls[[end]] <- `attributes<-`(as_written(calls[[end]]), attributes(calls[[end]]))
      # R has told of `$` once before it called the method.
      if (end > 1 && identical(shown(calls[[end]]), shown(calls[[end - 1]]))) calls <- calls[-end]
    }
    # What failed is how a value shows itself.
    if (length(calls) && identical(calls[[1]], quote(.meson_advance()))) calls <- calls[-1]
    fail_as_told(rev(traceback_of(calls)))
  }

  # The end of the loop; reached in spite of an error by what R has no room to call on_error for (the stack is full), and
  # by a script with an error handler of its own.
  end <- function() {
    if (at <= length(code)) fail_as_told(if (at > 0) paste0("1: ", place_of(places[[at]])))
  }

  fail_as_told <- function(trace) {
    message <- trimws(gsub("[ \t]*\n[ \t]*", " ", geterrmessage()))
    if (!validUTF8(message)) message <- iconv(message, "UTF-8", "UTF-8", sub = "?")
    fail(message, trace, if (grepl("cannot allocate (vector|memory|buffer)", message)) "out of memory" else "exception")
  }

  # The calls as traceback() prints them, with the line of the script that each stands in.
  traceback_of <- function(calls) {
    place <- if (at > 0) place_of(places[[at]])
    if (!length(calls)) return(if (!is.null(place)) paste0("1: ", place))
    at <- lapply(calls, function(call) place_of(attr(call, "srcref")))
    if (is.null(at[[1]])) at[[1]] <- place
    text <- vapply(calls, function(call) shown(`attributes<-`(call, NULL)), "")
    paste0(seq_along(calls), ": ", text, vapply(at, function(one) if (is.null(one)) "" else paste0(" at ", one), ""))
  }

  place_of <- function(srcref) {
    if (is.null(srcref)) return(NULL)
    name <- sub(paste0(variable("MESON_PROJECT"), "/"), "", attr(srcref, "srcfile")$filename, fixed = TRUE)
    paste0(name, "#", srcref[1])
  }

  fail <- function(message, trace, reason) {
    told <- c(failure = json_text(message), reason = json_text(reason))
    if (length(trace)) told["traceback"] <- json_text(paste0(trace, "\n", collapse = ""))
    report(told)
    quit(save = "no", status = 1, runLast = FALSE)
  }

  lacking <- function() {
    if (requireNamespace("jsonlite", quietly = TRUE)) return(NULL)
    paste0(
      "the R package jsonlite is not there for ", R.version.string, " (looked in ", paste(.libPaths(), collapse = ", "),
      "); on Debian and Ubuntu: apt install r-cran-jsonlite, elsewhere: install.packages(\"jsonlite\")"
    )
  }

  script <- variable("MESON_R_SCRIPT")
  code <- expression()
  places <- list()
  at <- 0
  outputs <- list()
  heard <- 0
  types <- list()
  work <- if (is.null(variable("MESON_WORK"))) tempdir() else variable("MESON_WORK")
  if (!is.null(script)) {
    options(
      error = on_error, keep.source = TRUE,
      # Warnings into the log as they come, and errors at full length without the calls, which the traceback has.
      warn = 1, warning.length = 8170, showErrorCalls = FALSE
    )
    problem <- lacking()
    if (!is.null(problem)) {
      message(problem)
      fail(problem, NULL, "launch")
    }
  }
  if (!is.null(variable("MESON_OUTPUT_TYPES"))) types <- jsonlite::parse_json(variable("MESON_OUTPUT_TYPES"))
  meson <- list(
    inputs = structure(from_file("MESON_INPUTS"), class = "meson_inputs"),
    output = output, artifact = artifact, progress = progress, emit = emit, link = link, messages = messages,
    project = variable("MESON_PROJECT"), work = variable("MESON_WORK"), scratch = variable("MESON_SCRATCH"),
    run = variable("MESON_RUN"), step = variable("MESON_STEP"), job_key = variable("MESON_JOB_KEY")
  )
  # Attached and not assigned, for `rm(list = ls())` is the first line of many a script.
  attached <- attach(
    list(meson = meson, .meson_advance = advance, .meson_end = end, .meson_next = NULL, .meson_value = NULL),
    name = "meson", warn.conflicts = FALSE
  )
  if (!is.null(script)) read_script(script, variable("MESON_R_NAME"))
})

# Not withVisible(), which is a function of R's own with a frame of its own, below all of the script's.
while (.meson_advance()) .meson_value <<- .Internal(withVisible(.meson_next))
.meson_end()
