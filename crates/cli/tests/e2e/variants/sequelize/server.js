// Notes in MySQL by Sequelize, whose migrations make the table.
const express = require('express');
const { Note } = require('./models');
const { GREETING } = require('./greeting');

const app = express();
app.use(express.json());

app.get('/', async (_request, response) => {
  response.type('text').send(`${GREETING}\n${await Note.count()} notes\n`);
});

app.get('/health', (_request, response) => response.json({ status: 'ok' }));

app.get('/api/notes', async (_request, response) => response.json(await Note.findAll({ order: ['id'] })));

app.post('/api/notes', async (request, response) => {
  response.status(201).json(await Note.create({ message: request.body.message }));
});

app.listen(process.env.PORT || 3000);
