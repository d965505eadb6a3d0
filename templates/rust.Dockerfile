{% if tool %}
# What carries out the migrations is compiled once: no file of the repository is in this stage. The program is compiled after it, since
# both at once may need more memory than a build has.
FROM {{ rust }} AS tool
ENV CARGO_HOME=/cargo CARGO_TARGET_DIR=/target CARGO_TERM_COLOR=never
RUN --mount=type=cache,id=cargo,target=/cargo \
    --mount=type=cache,id=cargo-target,target=/target,sharing=private \
    cargo install --locked --root /tool{{ " --version '" ~ tool.version ~ "'" if tool.version }} --no-default-features --features {{ tool.features }} {{ tool.package }}

FROM tool AS build
{% else %}
FROM {{ rust }} AS build
{% endif %}
WORKDIR /src
ENV CARGO_HOME=/cargo CARGO_TARGET_DIR=/target CARGO_TERM_COLOR=never{% if prepared_queries %} SQLX_OFFLINE=true{% endif %}

{% if toolchain %}
# The tool chain that the repository asks for is fetched once, not with each build.
COPY {{ toolchain }} ./
RUN cargo --version
{% endif %}
{% if commands %}
COPY . .
{% if folder %}
WORKDIR /src/{{ folder }}
{% endif %}
{% for command in commands %}
{{ command }}
{% endfor %}
{% endif %}
# What was compiled stays in a cache from build to build; two builds at a time get one each, so that neither takes the other's
# program. Cargo goes by the times of files: those of a checkout say nothing, so all of them are new. Of the dependencies it
# looks at the versions alone.
RUN {{ "--mount=type=bind,target=/src,rw " if not commands }}--mount=type=cache,id=cargo,target=/cargo \
    --mount=type=cache,id=cargo-target,target=/target,sharing=private \
    find {{ "/src" if folder else "." }} -type f -exec touch {} + \
{% if folder %}
 && cd /src/{{ folder }} \
{% endif %}
 && cargo build --release{% if locked %} --locked{% endif %} --package {{ package }} --bin {{ program }} \
 && install -D /target/release/{{ program }} /out/app

FROM {{ debian }}
{% if libraries %}
RUN apt-get update \
 && apt-get install -y --no-install-recommends {{ libraries | join(" ") }} \
 && rm -rf /var/lib/apt/lists/*
{% endif %}
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
{% if tool %}
COPY --from=tool /tool/bin/{{ tool.program }} /usr/local/bin/{{ tool.program }}
{% endif %}
ENV PORT={{ port }} HOME=/tmp{% if rocket %} ROCKET_ADDRESS=0.0.0.0 ROCKET_PORT={{ port }}{% endif %}

USER 10001:10001
WORKDIR /app
# Templates, migrations and the like are found where `cargo run` finds them.
{% if commands %}
COPY --from=build --chown=10001:10001 /src ./
{% else %}
COPY --chown=10001:10001 . .
{% endif %}
COPY --from=build /out/app /usr/local/bin/app
{% if folder %}
WORKDIR /app/{{ folder }}
{% endif %}
EXPOSE {{ port }}
CMD ["/usr/local/bin/app"]
