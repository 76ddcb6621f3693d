# PikoCI on itself: clone this repository, start a service beside the tests,
# run the tests of a crate, and put what comes out.
#
#   cargo run --release -- run -p examples/pikoci.hcl --all --var repository="$PWD"

variable "repository" {
  type        = string
  description = "the repository to build: a path or an address that git understands"
}

variable "artifacts" {
  description = "the directory that releases are put into"
  default     = "/tmp/pikoci-artifacts"
}

resource "git" "pikoci" {
  params {
    url = var.repository
  }
  check_interval = "@every 5m"
}

# A type of one's own: files in a directory, told apart by their digest.
resource_type "folder" {
  params = ["path"]

  check "shell" {
    cmd = <<-EOT
      mkdir -p "$param_path"
      newest=$(ls -t "$param_path" | head -n 1)
      if [ -z "$newest" ]; then echo '[]'; else printf '[{"file":"%s"}]\n' "$newest"; fi
    EOT
  }

  pull "shell" {
    cmd = "cp \"$param_path/$version_file\" \"$WORKDIR/\""
  }

  push "shell" {
    cmd = <<-EOT
      sum=$(cksum < "$WORKDIR/$put_file" | tr ' ' '-')
      name="$put_name-$sum.tar.gz"
      mkdir -p "$param_path"
      cp "$WORKDIR/$put_file" "$param_path/.$name"
      mv "$param_path/.$name" "$param_path/$name"
      printf '{"file":"%s"}\n' "$name"
    EOT
  }
}

resource "folder" "artifacts" {
  params {
    path = var.artifacts
  }
}

# A real redis-server where there is one, else the small one of the examples.
service_type "redis" {
  start "shell" {
    cmd = <<-EOT
      port=$("$WORKDIR/tiny-redis" free-port)
      echo "$port" > "$WORKDIR/redis.port"
      echo "PORT=$port" >> "$PIKOCI_OUTPUT"
      if command -v redis-server > /dev/null; then
        echo "redis-server on port $port"
        redis-server --port "$port" --bind 127.0.0.1 --save "" --dir "$WORKDIR" --daemonize yes
      else
        echo "tiny-redis on port $port"
        "$WORKDIR/tiny-redis" serve "$port" &
      fi
    EOT
  }

  ready_check "shell" {
    cmd      = "\"$WORKDIR/tiny-redis\" \"$(cat \"$WORKDIR/redis.port\")\" PING"
    interval = "100ms"
    timeout  = "30s"
  }

  stop "shell" {
    cmd = "\"$WORKDIR/tiny-redis\" \"$(cat \"$WORKDIR/redis.port\")\" SHUTDOWN NOSAVE || true"
  }
}

job "test" {
  get "git" "pikoci" { trigger = true }

  task "tools" {
    run "exec" {
      path = "rustc"
      args = ["-O", "--edition=2024", "-o", "tiny-redis", "pikoci/examples/src/bin/tiny-redis.rs"]
    }
    inputs  = ["pikoci"]
    outputs = ["tiny-redis"]
  }

  service "redis" {}

  in_parallel {
    task "redis" {
      run "shell" {
        cmd = <<-EOT
          ./tiny-redis "$SERVICE_REDIS_PORT" SET commit "$GET_PIKOCI_REF"
          test "$(./tiny-redis "$SERVICE_REDIS_PORT" GET commit)" = "$GET_PIKOCI_REF"
        EOT
      }
    }

    task "unit" {
      dir = "pikoci"
      run "shell" {
        # Kept from run to run, so that only the first one compiles everything.
        cmd = <<-EOT
          export CARGO_TARGET_DIR="$HOME/.cache/pikoci-example/target"
          cargo test --quiet --package pikoci-core --lib
        EOT
      }
      timeout = "20m"
    }
  }

  task "package" {
    run "shell" {
      cmd = <<-EOT
        git -C pikoci archive --format=tar.gz -o "$WORKDIR/source.tar.gz" HEAD
        echo "SIZE=$(wc -c < source.tar.gz | tr -d ' ')" >> "$PIKOCI_OUTPUT"
      EOT
    }
    outputs = ["source.tar.gz"]
  }

  put "folder" "artifacts" {
    file = "source.tar.gz"
    name = "pikoci"
  }

  on_failure "shell" { cmd = "echo \"the tests of $GET_PIKOCI_REF failed\"" }
}

# Runs with exactly what `test` has put.
job "release" {
  get "folder" "artifacts" {
    trigger = true
    passed  = ["test"]
  }

  task "look" {
    run "shell" { cmd = "tar -tzf \"$GET_ARTIFACTS_FILE\" | head -n 5" }
  }
}
