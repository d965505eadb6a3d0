FROM {{ node }} AS base
ENV {{ env }}
WORKDIR /app
{% if tool %}
RUN --mount=type=cache,id=npm,target=/root/.npm npm install --global --force {{ tool }}
{% endif %}

# A stage of its own: as long as what is copied here stays the same, nothing is installed again.
FROM base AS dependencies
{% for manifest in manifests %}
COPY {{ manifest }}
{% endfor %}
{# An app may depend on nothing. #}
RUN --mount=type=cache,{{ cache }} {{ install }} && mkdir -p node_modules
{% if build and generates_dependencies %}

# The build writes into node_modules what the app runs, so that they are pruned after it.
FROM dependencies AS build
COPY . .
{% for command in commands %}
{{ command }}
{% endfor %}
{% if script %}
RUN npm run build
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
{% if build and not generates_dependencies %}

# The build sees all dependencies and leaves none of them in the layer.
FROM base AS build
COPY . .
RUN --mount=type=bind,from=dependencies,source=/app/node_modules,target=/app/node_modules,rw npm run build
{% endif %}

FROM {{ node }}
ENV NODE_ENV=production PORT={{ port }}
USER node
WORKDIR /app
{% if not (build and generates_dependencies) %}
COPY --from=production --chown=node:node /app/node_modules ./node_modules
{% endif %}
{% if build %}
COPY --from=build --chown=node:node /app ./
{% else %}
COPY --chown=node:node . .
{% endif %}
EXPOSE {{ port }}
CMD {{ command }}
