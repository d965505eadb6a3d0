class NotesController < ActionController::API
  def index
    render json: Note.order(:id).select(:id, :message)
  end

  def create
    note = Note.new(params.permit(:message))
    if note.save
      render json: note, status: :created
    else
      render json: note.errors, status: :unprocessable_entity
    end
  end
end
