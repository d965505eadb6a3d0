# What a server of almost any kind needs of the standard library, compiled once per machine: no repository's code is in this
# stage, so all of them may share it. It fills a build cache that is still empty.
FROM {{ go }} AS std
RUN CGO_ENABLED=0 go build -trimpath net/http html/template encoding/json database/sql log/slog

{% if tool %}
# What carries out the migrations is compiled once: no file of the repository is in this stage.
FROM {{ go }} AS tool
ENV GOTOOLCHAIN=auto CGO_ENABLED=0 GOBIN=/tool
RUN --mount=type=cache,id=go-mod,target=/go/pkg/mod \
    --mount=type=cache,id=go-build,from=std,source=/root/.cache/go-build,target=/root/.cache/go-build \
    go install -trimpath -tags {{ tool.tag }} github.com/golang-migrate/migrate/v4/cmd/migrate@{{ tool.version }}

{% endif %}
FROM {{ go }} AS build
{% if cgo %}
# A module that asks for a newer Go gets it by the module proxy. Some of the modules are in C: the program runs on the same system.
ENV GOTOOLCHAIN=auto CGO_ENABLED=1
{% else %}
# A module that asks for a newer Go gets it by the module proxy. Without cgo the program runs on any system image.
ENV GOTOOLCHAIN=auto CGO_ENABLED=0
{% endif %}
WORKDIR /src
{% if download %}
COPY {{ manifests | join(" ") }} ./
RUN --mount=type=cache,id=go-mod,target=/go/pkg/mod go mod download
{% endif %}
COPY . .
{% if folder %}
WORKDIR /src/{{ folder }}
{% endif %}
{% for command in commands %}
{{ command }}
{% endfor %}
RUN --mount=type=cache,id=go-mod,target=/go/pkg/mod \
    --mount=type=cache,id=go-build,from=std,source=/root/.cache/go-build,target=/root/.cache/go-build \
    go build {{ "-mod=vendor " if vendored }}-trimpath -o /out/app {{ package }}{{ " && install -D /dev/null /out/env/.env" if env_file }}

# Not `scratch`: programs expect /tmp, a time zone or a shell more often than the shared base layer costs.
FROM {{ debian }}
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /usr/local/go/lib/time/zoneinfo.zip /usr/local/share/zoneinfo.zip
{% if tool %}
COPY --from=tool /tool/migrate /usr/local/bin/migrate
{% endif %}
ENV PORT={{ port }} HOME=/tmp ZONEINFO=/usr/local/share/zoneinfo.zip
USER 10001:10001
WORKDIR /app
{% if env_file %}
# Many a program that reads a `.env` ends without one: an empty one is there, unless the repository has its own.
COPY --from=build --chown=10001:10001 /out/env/ ./{{ folder ~ "/" if folder }}
{% endif %}
# Templates, migrations and the like are found where `go run` finds them.
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
