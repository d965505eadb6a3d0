'use strict';

const { DataTypes, Sequelize } = require('sequelize');

const config = require('../config/config.json')[process.env.NODE_ENV || 'development'];
const sequelize = config.use_env_variable
  ? new Sequelize(process.env[config.use_env_variable], config)
  : new Sequelize(config.database, config.username, config.password, config);

module.exports = { sequelize, Note: require('./note')(sequelize, DataTypes) };
