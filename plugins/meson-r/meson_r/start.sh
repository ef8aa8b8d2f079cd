# Owns finding Rscript on the machine where a step runs: `start.sh RSCRIPT WHERE NAME ARGUMENTS...`, each of the first three
# possibly empty, is the program of a step of kind r.
#
# RSCRIPT is the one that the step asks for; else the machine's, in MESON_RSCRIPT; else what the PATH has. WHERE is `work`
# or `project`. NAME is a script of the project; without one, the script is script.R.
rscript=${1:-${MESON_RSCRIPT:-Rscript}}
where=$2
MESON_R_NAME=${3:-script.R}
MESON_R_SCRIPT=$MESON_WORK/script.R
[ -z "$3" ] || MESON_R_SCRIPT=$MESON_PROJECT/$3
export MESON_R_NAME MESON_R_SCRIPT
shift 3

if ! command -v "$rscript" >/dev/null 2>&1; then
  told="there is no $rscript on this machine; on Debian and Ubuntu: apt install r-base-core r-cran-jsonlite"
  told="$told (if R is somewhere else: MESON_RSCRIPT, or the step's option rscript, says where)"
  echo "$told" >&2
  printf '{"failure": "%s", "reason": "launch"}\n' "$(printf %s "$told" | sed 's/[\\"]/\\&/g')" >>"$MESON_PROGRESS"
  exit 127
fi

# R removes its temporary folder when it ends; of an R that is killed, the executor removes it, for it lies in the work
# folder. R refuses a temporary folder with a space in its path.
case $MESON_WORK in
  *" "*) ;;
  *) TMPDIR=$MESON_WORK/meson && export TMPDIR ;;
esac
[ "$where" = work ] || cd "$MESON_PROJECT" || exit
exec "$rscript" --vanilla "$MESON_WORK/meson/meson.R" "$@"
