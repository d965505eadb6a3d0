{% set installs_tool = "RUN --mount=type=cache,id=npm,target=/root/.npm npm install --global --force " ~ tool %}
{% if system or manager_runs %}
# What both the build and the app want: no repository's code is in this stage.
FROM {{ image }} AS system
{% if system %}
RUN apt-get update \
 && apt-get install -y --no-install-recommends {{ system }} \
 && rm -rf /var/lib/apt/lists/*
{% endif %}
{% if manager_runs %}
{{ installs_tool }}
{% endif %}

{% set image = "system" %}
{% endif %}
FROM {{ image }} AS base
ENV {{ env }}
WORKDIR /app
{% if tool and not manager_runs %}
{{ installs_tool }}
{% endif %}
{% if git %}
# Packages are fetched by it.
RUN apt-get update \
 && apt-get install -y --no-install-recommends git ca-certificates \
 && rm -rf /var/lib/apt/lists/*
{% endif %}

# A stage of its own: as long as what is copied here stays the same, nothing is installed again.
FROM base AS dependencies
{% for manifest in manifests %}
COPY {{ manifest }}
{% endfor %}
{# An app may depend on nothing. #}
RUN --mount=type=cache,{{ cache }} {{ install }} && mkdir -p {{ modules | join(" ") }}
{% if build_in_place %}

# The build writes into node_modules what the app runs, so that they are pruned after it.
FROM dependencies AS build
COPY . .
{% for line in generate %}
RUN {{ line }}
{% endfor %}
{% for command in commands %}
{{ command }}
{% endfor %}
{% if build %}
RUN {{ build }}
{% endif %}
{% if prune %}
RUN --mount=type=cache,{{ cache }} {{ prune }}
{% endif %}
{% else %}

FROM dependencies AS production
{% if prune %}
RUN --mount=type=cache,{{ cache }} {{ prune }}
{% endif %}
{% endif %}
{% if build and not build_in_place %}

# The build sees all dependencies and leaves none of them in the layer.
FROM base AS build
COPY . .
RUN {% for folder in modules %}--mount=type=bind,from=dependencies,source=/app/{{ folder }},target=/app/{{ folder }},rw {% endfor %}{{ build }}
{% endif %}

FROM {{ image }}
ENV NODE_ENV=production PORT={{ port }}{{ settings }}{{ " " ~ env if run_env }}
USER node
WORKDIR /app
{% if not build_in_place and workspace %}
# Every package may have a node_modules of its own.
COPY --from=production --chown=node:node /app ./
{% elif not build_in_place %}
COPY --from=production --chown=node:node /app/node_modules ./node_modules
{% endif %}
{% if build or build_in_place %}
COPY --from=build --chown=node:node /app ./
{% else %}
COPY --chown=node:node . .
{% endif %}
{% if folder %}
WORKDIR /app/{{ folder }}
{% endif %}
EXPOSE {{ port }}
CMD {{ command }}
