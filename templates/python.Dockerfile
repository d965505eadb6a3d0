FROM {{ python }} AS dependencies
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore{% for variable in env %} {{ variable }}{% endfor %}

{% if build_packages %}
RUN apt-get update \
 && apt-get install -y --no-install-recommends {{ build_packages | join(" ") }} \
 && rm -rf /var/lib/apt/lists/*
{% endif %}
WORKDIR /app
{% if tool %}
RUN --mount=type=cache,id=pip,target=/root/.cache/pip pip install '{{ tool }}'
{% endif %}
RUN {{ environment }}
ENV VIRTUAL_ENV=/venv PATH=/venv/bin:$PATH
# A layer of its own: as long as what is copied here stays the same, nothing is installed again.
{% for manifest in copied %}
COPY {{ manifest }}
{% endfor %}
{% if folder %}
WORKDIR /app/{{ folder }}
{% endif %}
RUN --mount=type=cache,{{ cache }} {{ install }}
{% if add %}
# The project names no server, and a library that it names may bring one.
RUN --mount=type=cache,{{ cache }} test -x /venv/bin/{{ server }} || {{ add }}
{% endif %}
{% if statics or commands %}

FROM dependencies AS built
{% if not folder %}
COPY . .
{% endif %}
{% for command in commands %}
{{ command }}
{% endfor %}
{% if statics %}
# Settings that want more than a build has must not keep the app from running: it does without its static files then.
RUN cd ./{{ statics.home }} \
 && DJANGO_SETTINGS_MODULE={{ statics.settings }} SECRET_KEY=of-the-build DJANGO_SECRET_KEY=of-the-build \
    DATABASE_URL=sqlite:////tmp/of-the-build python3 manage.py collectstatic --noinput \
 || echo "static files were not collected: the settings need something that a build has not"
{% endif %}
{% endif %}

FROM {{ python }}
{% if run_packages %}
RUN apt-get update \
 && apt-get install -y --no-install-recommends {{ run_packages | join(" ") }} \
 && rm -rf /var/lib/apt/lists/*
{% endif %}
COPY --from=dependencies /venv /venv
ENV VIRTUAL_ENV=/venv PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp PORT={{ port }}{% if path %} PYTHONPATH=/app/{{ path }}{% endif %}

{% if django %}
# What most settings read of the environment: the router decides which names lead here.
ENV ALLOWED_HOSTS=* DJANGO_ALLOWED_HOSTS=*
{% endif %}
USER 10001:10001
WORKDIR /app
{% if statics or commands %}
COPY --from=built --chown=10001:10001 /app ./
{% else %}
COPY --chown=10001:10001 . .
{% endif %}
{% if folder %}
WORKDIR /app/{{ folder }}
{% endif %}
EXPOSE {{ port }}
CMD {{ command }}
