# The built-in `git` resource type: a branch (or any other ref) of a repository.
#
# url          where the repository is: https, ssh, file or a path
# branch       the branch; without it and `ref`, what the repository's HEAD names
# ref          another ref instead of a branch, such as `refs/tags/v1` or `v1`
# name         the directory of a `get`, by default the resource's name
# depth        how many commits of history a `get` fetches, by default all
# submodules   `true` fetches them too
# username, password, private_key
#
# A version is `{"ref": "COMMIT"}`. `put` takes `repository` (the directory to
# push from, by default the resource's name), `branch`, and `rebase = true`.
#
# Values come as variables and are never part of a script's text. Whatever
# could be taken for an option is refused.
resource_type "git" {
  params = ["url", "branch", "ref", "name", "depth", "submodules", "username", "password", "private_key"]
  cache  = true

  check "shell" {
    cmd = <<-EOT
      die() { printf 'git: %s\n' "$*" >&2; exit 1; }
      [ -n "$param_url" ] || die 'url is empty'
      for value in "$param_url" "$param_branch" "$param_ref"; do
        case $value in -*) die "'$value' looks like an option" ;; esac
      done
      export GIT_TERMINAL_PROMPT=0
      tmp=$(mktemp -d)
      trap 'rm -rf "$tmp"' EXIT
      trap 'exit 143' HUP INT TERM
      if [ -n "$param_private_key" ]; then
        (umask 077 && printf '%s\n' "$param_private_key" > "$tmp/key")
        export GIT_SSH_COMMAND="ssh -i '$tmp/key' -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=accept-new"
      else
        export GIT_SSH_COMMAND="ssh -o BatchMode=yes -o StrictHostKeyChecking=accept-new"
      fi
      run_git() {
        if [ -n "$param_password" ]; then
          git -c credential.helper= -c credential.helper='!f() { [ "$1" != get ] || printf "username=%s\npassword=%s\n" "$param_username" "$param_password"; }; f' "$@"
        else
          git "$@"
        fi
      }

      if [ -n "$param_branch" ]; then wanted=refs/heads/$param_branch
      elif [ -n "$param_ref" ]; then wanted=$param_ref
      else wanted=HEAD
      fi
      newest=
      peeled=
      run_git ls-remote -- "$param_url" "$wanted" "$wanted^{}" > "$tmp/refs"
      while read -r commit name; do
        case $name in
          "$wanted" | "refs/heads/$wanted" | "refs/tags/$wanted") [ -n "$newest" ] || newest=$commit ;;
          "$wanted^{}" | "refs/tags/$wanted^{}") peeled=$commit ;;
        esac
      done < "$tmp/refs"
      # Of an annotated tag, the commit it points to.
      [ -z "$peeled" ] || newest=$peeled
      case $newest in
        '') die "'$wanted' is not in the repository" ;;
        *[!0-9a-f]*) die "the repository answered '$newest' for '$wanted'" ;;
      esac

      case $version_ref in *[!0-9a-f]*) die "'$version_ref' is no commit; a tag or branch goes into the resource's 'ref' or 'branch'" ;; esac
      if [ -z "$version_ref" ]; then
        printf '[{"ref":"%s"}]\n' "$newest"
        exit 0
      fi
      if [ "$version_ref" = "$newest" ]; then
        printf '[{"ref":"%s"}]\n' "$newest"
        exit 0
      fi

      # The history without its files, kept where there is a cache.
      repository=$tmp/history.git
      if [ -n "$CACHE_DIR" ]; then repository=$CACHE_DIR/history.git; fi
      [ -d "$repository" ] || git init -q --bare "$repository"
      export GIT_DIR="$repository"
      git config remote.origin.url "$param_url"
      # A ref of its own: another check may be at work in the same cache.
      head=refs/pikoci/check-$$
      if run_git fetch -q --update-shallow --no-tags --filter=blob:none origin "+$wanted:$head" && [ -n "$(git rev-parse -q --verify "$head^{commit}")" ]; then
        newest=$(git rev-parse "$head^{commit}")
        if git merge-base --is-ancestor "$version_ref" "$newest" 2> /dev/null; then
          printf '[{"ref":"%s"}' "$version_ref"
          git rev-list --reverse --first-parent "$version_ref..$newest" | while read -r commit; do
            printf ',{"ref":"%s"}' "$commit"
          done
          printf ']\n'
        else
          # It is not in the history any more: somebody rewrote that.
          printf '[{"ref":"%s"}]\n' "$newest"
        fi
      else
        die "the history of '$wanted' cannot be fetched"
      fi
      git update-ref -d "$head"
    EOT
  }

  pull "shell" {
    cmd = <<-EOT
      die() { printf 'git: %s\n' "$*" >&2; exit 1; }
      name=$param_name
      [ -n "$name" ] || name=$RESOURCE_NAME
      [ -n "$param_url" ] || die 'url is empty'
      for value in "$param_url" "$param_branch" "$param_ref" "$name"; do
        case $value in -*) die "'$value' looks like an option" ;; esac
      done
      case /$name/ in //* | */../*) die "'$name' leads out of the working directory" ;; esac
      case $version_ref in '' | *[!0-9a-f]*) die "'$version_ref' is no commit; a tag or branch goes into the resource's 'ref' or 'branch'" ;; esac
      case $param_depth in *[!0-9]*) die "depth must be a number, not '$param_depth'" ;; esac
      export GIT_TERMINAL_PROMPT=0
      tmp=$(mktemp -d)
      trap 'rm -rf "$tmp"' EXIT
      trap 'exit 143' HUP INT TERM
      if [ -n "$param_private_key" ]; then
        (umask 077 && printf '%s\n' "$param_private_key" > "$tmp/key")
        export GIT_SSH_COMMAND="ssh -i '$tmp/key' -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=accept-new"
      else
        export GIT_SSH_COMMAND="ssh -o BatchMode=yes -o StrictHostKeyChecking=accept-new"
      fi
      run_git() {
        if [ -n "$param_password" ]; then
          git -c credential.helper= -c credential.helper='!f() { [ "$1" != get ] || printf "username=%s\npassword=%s\n" "$param_username" "$param_password"; }; f' "$@"
        else
          git "$@"
        fi
      }

      if [ -n "$param_branch" ]; then wanted=+refs/heads/$param_branch:refs/remotes/origin/$param_branch
      elif [ -n "$param_ref" ]; then wanted=$param_ref
      else wanted=HEAD
      fi
      depth=
      if [ -n "$param_depth" ]; then depth=--depth=$param_depth; fi

      # Each of these may be run again: a second attempt goes on where the first one broke off.
      cd "$WORKDIR"
      git init -q "./$name"
      cd "./$name"
      git config remote.origin.url "$param_url"
      git config remote.origin.fetch '+refs/heads/*:refs/remotes/origin/*'
      has_commit() { git cat-file -e "$version_ref^{commit}" 2> /dev/null; }
      has_commit || run_git fetch -q --update-shallow $depth origin "$wanted"
      # An older commit than a shallow history reaches; not every server gives one out by its name.
      has_commit || run_git fetch -q --update-shallow $depth origin "$version_ref" 2> /dev/null || true
      if ! has_commit; then
        if [ -f .git/shallow ]; then run_git fetch -q --unshallow origin "$wanted"; fi
        has_commit || run_git fetch -q --update-shallow origin
        has_commit || die "commit '$version_ref' is not in the repository"
      fi
      git -c advice.detachedHead=false checkout -q --force --detach "$version_ref"
      if [ "$param_submodules" = true ]; then
        run_git submodule update -q --init --recursive --force
      fi
      git --no-pager log -1 --format='%h %s (%an, %ad)' --date=short
    EOT
  }

  push "shell" {
    cmd = <<-EOT
      die() { printf 'git: %s\n' "$*" >&2; exit 1; }
      directory=$put_repository
      [ -n "$directory" ] || directory=$param_name
      [ -n "$directory" ] || directory=$RESOURCE_NAME
      branch=$put_branch
      [ -n "$branch" ] || branch=$param_branch
      [ -n "$param_url" ] || die 'url is empty'
      [ -n "$branch" ] || die 'branch is empty: say which branch to push to'
      for value in "$param_url" "$branch" "$directory"; do
        case $value in -*) die "'$value' looks like an option" ;; esac
      done
      case /$directory/ in //* | */../*) die "'$directory' leads out of the working directory" ;; esac
      git check-ref-format "refs/heads/$branch" || die "'$branch' is no name of a branch"
      export GIT_TERMINAL_PROMPT=0
      tmp=$(mktemp -d)
      trap 'rm -rf "$tmp"' EXIT
      trap 'exit 143' HUP INT TERM
      if [ -n "$param_private_key" ]; then
        (umask 077 && printf '%s\n' "$param_private_key" > "$tmp/key")
        export GIT_SSH_COMMAND="ssh -i '$tmp/key' -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=accept-new"
      else
        export GIT_SSH_COMMAND="ssh -o BatchMode=yes -o StrictHostKeyChecking=accept-new"
      fi
      run_git() {
        if [ -n "$param_password" ]; then
          git -c credential.helper= -c credential.helper='!f() { [ "$1" != get ] || printf "username=%s\npassword=%s\n" "$param_username" "$param_password"; }; f' "$@"
        else
          git "$@"
        fi
      }

      cd "$WORKDIR/$directory"
      [ -e .git ] || die "'$directory' is no repository"
      # A rebase writes commits, which need a name.
      if [ -z "$(git config user.email || true)" ]; then
        export GIT_COMMITTER_NAME=PikoCI GIT_COMMITTER_EMAIL=pikoci@localhost
      fi
      tries=0
      while :; do
        if [ "$put_rebase" = true ] && run_git fetch -q -- "$param_url" "refs/heads/$branch" 2> "$tmp/fetch"; then
          git rebase -q FETCH_HEAD || { git rebase --abort; die "the rebase onto '$branch' has conflicts"; }
        fi
        if run_git push -q -- "$param_url" "HEAD:refs/heads/$branch"; then break; fi
        # Somebody else may have pushed between the rebase and the push.
        tries=$((tries + 1))
        if [ "$put_rebase" != true ] || [ "$tries" -ge 3 ]; then die "'$branch' was not pushed"; fi
      done
      printf '{"ref":"%s"}\n' "$(git rev-parse HEAD)"
    EOT
  }
}
