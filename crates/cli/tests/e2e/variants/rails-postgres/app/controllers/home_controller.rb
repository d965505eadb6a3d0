class HomeController < ApplicationController
  def index
    Visit.create!
    @visits = Visit.count
    session[:visits] = session.fetch(:visits, 0) + 1
    @notes = Note.count
    # By a gem whose extension is compiled.
    @seal = BCrypt::Password.create(Greeting::TEXT, cost: 4)
  end

  def sign
    Note.create!(message: params.require(:message))
    redirect_to root_url
  end
end
